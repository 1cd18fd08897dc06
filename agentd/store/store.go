// Package store keeps on the node's disk what its agent may not forget: the ledger as far as it has been read, what was reported
// of each instance, and the reports that are still on their way to the log.
//
// A report and the fact that it was made are written in one transaction, so a report is made once however often the agent is killed.
package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rutter-run/rutter/agentd/instance"
	"github.com/rutter-run/rutter/events"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Store is an open store. It is safe for concurrent use.
type Store struct {
	db *bolt.DB
}

// Record is what was reported of one instance and must survive the agent.
type Record struct {
	Assignment instance.Assignment  `json:"assignment"`
	Containers []instance.Container `json:"containers,omitempty"`
	Reports    int                  `json:"reports"` // made so far: the ordinal of the next
	Created    bool                 `json:"created,omitempty"`
	Addresses  []string             `json:"addresses,omitempty"`
	Last       string               `json:"last,omitempty"`  // id of the newest report: the cause of the next
	Ended      bool                 `json:"ended,omitempty"` // the end is reported; all that is left is to forget
}

// Report is one report on its way to the log.
type Report struct {
	Number      uint64         `json:"-"` // place in the outbox
	Subject     events.Subject `json:"subject"`
	ID          string         `json:"id"`
	Type        string         `json:"type"`
	Time        time.Time      `json:"time"`
	Causation   string         `json:"causation"`
	Correlation string         `json:"correlation,omitempty"`
	Actor       string         `json:"actor,omitempty"`
	TraceParent string         `json:"traceparent,omitempty"`
	Data        []byte         `json:"data"`
}

var (
	bucketLedger  = []byte("ledger")
	bucketRecords = []byte("records")
	bucketOutbox  = []byte("outbox")
	bucketHeads   = []byte("heads") // report subject → last sequence
	keyLedger     = []byte("state")
)

// Open opens or makes the store file. A file that another agent holds is an error that says so.
func Open(path string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the agent's directory: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 5 * time.Second, FreelistType: bolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open %s: another agent is running on this data directory: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketLedger, bucketRecords, bucketOutbox, bucketHeads} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), db.Close())
	}
	return &Store{db: db}, nil
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Ledger loads the ledger as last saved, an empty one the first time.
func (s *Store) Ledger() (*instance.Ledger, error) {
	l := instance.NewLedger()
	err := s.db.View(func(tx *bolt.Tx) error {
		if data := tx.Bucket(bucketLedger).Get(keyLedger); data != nil {
			return json.Unmarshal(data, l)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the ledger: %w", err)
	}
	return l, nil
}

// SaveLedger saves the ledger. Losing the newest save is harmless: the log has it.
func (s *Store) SaveLedger(l *instance.Ledger) error {
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("save the ledger: %w", err)
	}
	return s.update("save the ledger", func(tx *bolt.Tx) error { return tx.Bucket(bucketLedger).Put(keyLedger, data) })
}

// Records loads what was reported of every instance.
func (s *Store) Records() (map[string]Record, error) {
	all := map[string]Record{}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketRecords).ForEach(func(key, data []byte) error {
			var r Record
			if err := json.Unmarshal(data, &r); err != nil {
				return fmt.Errorf("record %s: %w", key, err)
			}
			all[string(key)] = r
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("load the records: %w", err)
	}
	return all, nil
}

// Note saves what is known of an instance and puts reports into the outbox, both or neither.
func (s *Store) Note(key string, r Record, reports ...Report) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("note %s: %w", key, err)
	}
	return s.update("note "+key, func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketRecords).Put([]byte(key), data); err != nil {
			return err
		}
		return post(tx, reports)
	})
}

// Post puts reports into the outbox that belong to no record.
func (s *Store) Post(reports ...Report) error {
	return s.update("post reports", func(tx *bolt.Tx) error { return post(tx, reports) })
}

func post(tx *bolt.Tx, reports []Report) error {
	outbox := tx.Bucket(bucketOutbox)
	for _, report := range reports {
		n, err := outbox.NextSequence()
		if err != nil {
			return err
		}
		body, err := json.Marshal(report)
		if err != nil {
			return err
		}
		if err := outbox.Put(number(n), body); err != nil {
			return err
		}
	}
	return nil
}

// Forget drops the record of an instance.
func (s *Store) Forget(key string) error {
	return s.update("forget "+key, func(tx *bolt.Tx) error { return tx.Bucket(bucketRecords).Delete([]byte(key)) })
}

// Outbox returns up to most reports that are not in the log yet, in the order they were made, and the last sequence known of each subject.
func (s *Store) Outbox(most int) (reports []Report, heads map[events.Subject]uint64, err error) {
	heads = map[events.Subject]uint64{}
	err = s.db.View(func(tx *bolt.Tx) error {
		known := tx.Bucket(bucketHeads)
		cursor := tx.Bucket(bucketOutbox).Cursor()
		for key, data := cursor.First(); key != nil && len(reports) < most; key, data = cursor.Next() {
			var r Report
			if err := json.Unmarshal(data, &r); err != nil {
				return fmt.Errorf("report %d: %w", binary.BigEndian.Uint64(key), err)
			}
			r.Number = binary.BigEndian.Uint64(key)
			reports = append(reports, r)
			if head := known.Get([]byte(r.Subject)); head != nil {
				heads[r.Subject] = binary.BigEndian.Uint64(head)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the outbox: %w", err)
	}
	return reports, heads, nil
}

// Sent takes reports out of the outbox and remembers the last sequence of their subjects. A subject whose head is 0 is forgotten.
func (s *Store) Sent(reports []Report, heads map[events.Subject]uint64) error {
	return s.update("clear the outbox", func(tx *bolt.Tx) error {
		for _, r := range reports {
			if err := tx.Bucket(bucketOutbox).Delete(number(r.Number)); err != nil {
				return err
			}
		}
		known := tx.Bucket(bucketHeads)
		for subject, head := range heads {
			if head == 0 {
				if err := known.Delete([]byte(subject)); err != nil {
					return err
				}
				continue
			}
			if err := known.Put([]byte(subject), number(head)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) update(what string, change func(*bolt.Tx) error) error {
	if err := s.db.Update(change); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
