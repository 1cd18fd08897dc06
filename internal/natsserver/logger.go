package natsserver

import "github.com/sirupsen/logrus"

// logger puts the server's log into ours. The server's notices are routine, so they are debug lines here.
type logger struct{ to *logrus.Entry }

func (l logger) Noticef(format string, v ...any) { l.to.Debugf(format, v...) }
func (l logger) Warnf(format string, v ...any)   { l.to.Warnf(format, v...) }
func (l logger) Fatalf(format string, v ...any)  { l.to.Errorf(format, v...) }
func (l logger) Errorf(format string, v ...any)  { l.to.Errorf(format, v...) }
func (l logger) Debugf(format string, v ...any)  { l.to.Debugf(format, v...) }
func (l logger) Tracef(format string, v ...any)  { l.to.Tracef(format, v...) }
