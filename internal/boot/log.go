package boot

import (
	"fmt"
	"io"

	"github.com/sirupsen/logrus"
)

// Logger makes a process's logger. format is text or json; level one of logrus's.
func Logger(out io.Writer, level, format, service string) (*logrus.Entry, error) {
	l := logrus.New()
	l.SetOutput(out)
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log-level: %q: want trace, debug, info, warn or error", level)
	}
	l.SetLevel(parsed)
	switch format {
	case "json":
		l.SetFormatter(&logrus.JSONFormatter{TimestampFormat: "2006-01-02T15:04:05.000Z07:00"})
	case "text":
		l.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: "15:04:05.000"})
	default:
		return nil, fmt.Errorf("log-format: %q: want text or json", format)
	}
	return l.WithField("service", service), nil
}
