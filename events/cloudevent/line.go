package cloudevent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rutter-run/rutter/events"
)

// TypeRecord is the type of the event that stands in a line for a message that is no CloudEvent in binary content mode, or not in its
// one canonical form.
const TypeRecord = "run.rutter.log.record.v1"

const recordSource = "/rutter/log"

// headerRecorded is on an imported event when the log that it comes from had stored it.
const headerRecorded = headerPrefix + extensionRecorded

const headerPrefix = "ce-"

// member is a member of the line's object, whose value is written as it is.
type member struct{ name, value string }

// AppendLine adds the record's canonical line to dst, without a line break: the one text that stands for it in audits and exports. It is a structured
// CloudEvents document with its members in the order of their names and no blanks between; strings are written as RFC 8785 has
// them; data stands byte for byte as it is stored where it is JSON on one line, else as data_base64.
// docs/design/audit.md says it in full. [ParseLine] reads it back.
func AppendLine(dst []byte, r events.Record) []byte {
	members, ok := attributes(r)
	if !ok {
		return appendRecordLine(dst, r)
	}
	members = append(members, place(r)...)
	dataName := "data"
	switch {
	case len(r.Data) == 0:
		dataName = ""
	case !plainJSON(r.Data):
		dataName = "data_base64"
	}
	if dataName != "" {
		members = append(members, member{name: dataName})
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	for i, m := range members {
		dst = append(dst, ",\""...)
		if i == 0 {
			dst[len(dst)-2] = '{'
		}
		dst = append(dst, m.name...)
		dst = append(dst, "\":"...)
		switch m.name {
		case "data":
			dst = append(dst, r.Data...)
		case "data_base64":
			dst = append(dst, '"')
			dst = base64.StdEncoding.AppendEncode(dst, r.Data)
			dst = append(dst, '"')
		default:
			dst = appendString(dst, m.value)
		}
	}
	return append(dst, '}')
}

// place is what the log says of a record.
func place(r events.Record) []member {
	return []member{
		{extensionSequence, fmt.Sprintf("%020d", r.Sequence)}, {extensionRecorded, r.Recorded.UTC().Format(time.RFC3339Nano)},
	}
}

// attributes are those of a message in binary content mode. ok is false where they do not give the message's headers back.
func attributes(r events.Record) (members []member, ok bool) {
	h := r.Header
	if isStructured(h) || one(h, headerSpecVersion) != specVersion || one(h, headerID) == "" || one(h, headerSource) == "" ||
		one(h, headerType) == "" || one(h, headerType) == TypeRecord || one(h, headerSubject) != PercentEncode(string(r.Subject)) {
		return nil, false
	}
	members = make([]member, 0, 16)
	for name, values := range h {
		attribute, ours := strings.CutPrefix(name, headerPrefix)
		if !ours {
			continue // transport: no reader of the log looks at it
		}
		if len(values) != 1 || values[0] == "" || !attributeName(attribute) {
			return nil, false
		}
		value, err := PercentDecode(values[0])
		if err != nil || PercentEncode(value) != values[0] {
			return nil, false
		}
		members = append(members, member{attribute, value})
	}
	return members, true
}

// attributeName reports whether CloudEvents lets an attribute have the name, and the line has no other use for it.
func attributeName(name string) bool {
	switch name {
	case "", "data", extensionSequence, extensionRecorded:
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// plainJSON reports whether data can stand in a line as it is.
func plainJSON(data []byte) bool {
	blank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
	return !blank(data[0]) && !blank(data[len(data)-1]) && bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 &&
		utf8.Valid(data) && json.Valid(data)
}

// recordData is the data of an event of [TypeRecord], whose subject is percent-encoded, for a subject need not be text.
type recordData struct {
	Body   []byte `json:"body"`
	Header []byte `json:"header"` // lines "name: value", sorted, each ended by \r\n, as they stand on the wire
}

func appendRecordLine(dst []byte, r events.Record) []byte {
	var header bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if strings.HasPrefix(name, "Nats-") {
			continue // the server's own affair: expectations, message ids, batches
		}
		for _, value := range r.Header[name] {
			header.WriteString(name + ": " + value + "\r\n")
		}
	}
	data, _ := json.Marshal(recordData{Body: append([]byte{}, r.Data...), Header: append([]byte{}, header.Bytes()...)}) // byte slices always encode
	dst = append(dst, `{"data":`...)
	dst = append(dst, data...)
	for _, m := range append([]member{
		{"datacontenttype", jsonType}, {"id", "record-" + strconv.FormatUint(r.Sequence, 10)}, {extensionRecorded, place(r)[1].value},
		{extensionSequence, place(r)[0].value}, {"source", recordSource}, {"specversion", specVersion}, {"subject", PercentEncode(string(r.Subject))},
	}, member{"type", TypeRecord}) {
		dst = append(append(append(dst, `,"`...), m.name...), `":`...)
		dst = appendString(dst, m.value)
	}
	return append(dst, '}')
}

// appendString writes a string as RFC 8785 wants it. The value is valid UTF-8.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\f':
			dst = append(dst, `\f`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return append(dst, '"')
}

// ReadLine reads a line that is known to be what [AppendLine] has written, such as one of a verified export.
func ReadLine(line []byte) (events.Record, error) {
	r, err := parseLine(line)
	if err != nil {
		return r, fmt.Errorf("line of an event: %w: %w", events.ErrInvalid, err)
	}
	return r, nil
}

// ParseLine reads a line that [AppendLine] has written; any other text, be it a single blank longer, is [events.ErrInvalid].
func ParseLine(line []byte) (events.Record, error) {
	r, err := ReadLine(line)
	if err != nil {
		return r, err
	}
	if again := AppendLine(make([]byte, 0, len(line)), r); !bytes.Equal(again, line) {
		return r, fmt.Errorf("line of event %d is not in its canonical form: %w", r.Sequence, events.ErrInvalid)
	}
	return r, nil
}

func parseLine(line []byte) (r events.Record, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return r, err
	}
	r.Header = make(map[string][]string, len(members))
	for name, raw := range members {
		if name == "data" {
			r.Data = raw
			continue
		}
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		switch name {
		case "data_base64":
			r.Data, err = base64.StdEncoding.DecodeString(value)
		case extensionSequence:
			r.Sequence, err = strconv.ParseUint(value, 10, 64)
		case extensionRecorded:
			r.Recorded, err = time.Parse(time.RFC3339Nano, value)
		case "subject":
			r.Subject = events.Subject(value)
			fallthrough
		default:
			r.Header[headerPrefix+name] = []string{PercentEncode(value)}
		}
		if err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	if one(r.Header, headerType) == TypeRecord {
		return r, unwrap(&r)
	}
	return r, nil
}

// unwrap makes of the event of [TypeRecord] the record that it stands for.
func unwrap(r *events.Record) error {
	var data recordData
	if err := json.Unmarshal(r.Data, &data); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	subject, err := url.PathUnescape(string(r.Subject))
	if err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	r.Subject, r.Data, r.Header = events.Subject(subject), data.Body, map[string][]string{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(data.Header), "\r\n"), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header[name] = append(r.Header[name], value)
		}
	}
	return nil
}

// Original takes out of an imported event's headers when the log that it comes from had stored it, and gives the headers without it. ok is
// false where they do not say. Only the importer may be believed: see events/jetstream.
func Original(h Header) (without Header, at time.Time, ok bool) {
	at, err := time.Parse(time.RFC3339Nano, one(h, headerRecorded))
	if err != nil {
		return h, time.Time{}, false
	}
	without = maps.Clone(h)
	delete(without, headerRecorded)
	return without, at.UTC(), true
}

// SetOriginal puts into an event's headers when the log that it comes from had stored it.
func SetOriginal(h Header, at time.Time) {
	h[headerRecorded] = []string{at.UTC().Format(time.RFC3339Nano)}
}
