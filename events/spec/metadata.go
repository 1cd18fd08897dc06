package spec

import (
	"maps"
	"regexp"
	"slices"
)

// DefaultNamespace is the namespace of what names none.
const DefaultNamespace = "default"

var (
	dnsLabel   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)                                                    // RFC 1123, section 2.1
	labelKey   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`) // Kubernetes label keys
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)                                      // Kubernetes label values
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)                                                              // as Kubernetes accepts
	userName   = regexp.MustCompile(`^([0-9]{1,10}|[a-z_][a-z0-9_.-]{0,31})(:([0-9]{1,10}|[a-z_][a-z0-9_.-]{0,31}))?$`)        // user[:group] by name or number
	signalName = regexp.MustCompile(`^SIG(HUP|INT|QUIT|KILL|TERM|USR1|USR2|ALRM|WINCH|CONT|PWR|RTMIN(\+([0-9]|1[0-5]))?)$`)    // signals that make sense to stop a process
	capability = regexp.MustCompile(`^(ALL|(CAP_)?[A-Z][A-Z_]{1,40})$`)                                                        // capabilities(7)
)

const (
	wantDNSLabel = "lower-case letters, digits and '-', at most 63, starting and ending with a letter or digit"
	maxWorkload  = 40 // leaves room for -<slot>-<attempt> and for the container's name within 63 and for file names
)

// Metadata names a document and carries its labels.
type Metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ValidateName reports whether name can name a thing of the domain (an RFC 1123 label).
func ValidateName(field, name string) (errs Errors) {
	if !dnsLabel.MatchString(name) {
		errs.add(field, name, wantDNSLabel)
	}
	return errs
}

// ValidateLabels reports label keys and values that Kubernetes would refuse as well.
func ValidateLabels(field string, labels map[string]string) (errs Errors) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if !labelKey.MatchString(key) {
			errs.add(field, key, "a label key such as app or example.com/app, the name at most 63 characters")
		}
		if !labelValue.MatchString(labels[key]) {
			errs.add(field+"."+key, labels[key], "at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit")
		}
	}
	return errs
}

// Validate reports faults of the names and labels.
func (m Metadata) Validate(field string) Errors {
	var errs Errors
	if m.Name == "" {
		errs.add(field+".name", "", "a name: %s", wantDNSLabel)
	} else {
		errs = ValidateName(field+".name", m.Name)
		if len(m.Name) > maxWorkload {
			errs.add(field+".name", m.Name, "at most %d characters", maxWorkload)
		}
	}
	errs = append(errs, ValidateName(field+".namespace", m.Namespace)...)
	errs = append(errs, ValidateLabels(field+".labels", m.Labels)...)
	for _, key := range slices.Sorted(maps.Keys(m.Annotations)) {
		if !labelKey.MatchString(key) {
			errs.add(field+".annotations", key, "an annotation key such as example.com/note")
		}
	}
	return errs
}
