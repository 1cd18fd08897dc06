package projections

import (
	"reflect"
	"strings"
)

// Filled is a cluster with one row in each table, its value made by fill.
func Filled(fill func(value any)) *Cluster {
	l := NewLoader(7, fixedTime)
	for _, t := range l.c.tables() {
		value := t.fresh()
		if value != nil {
			fill(value)
		}
		t.load("key", value)
	}
	return l.Cluster()
}

var fixedTime = Empty().Time().AddDate(2029, 1, 2)

// Row is a table's key and value.
type Row struct {
	Table, Key string
	Value      any
}

// RowsOf lists all rows of a cluster.
func RowsOf(c *Cluster) (all []Row) {
	for _, t := range c.tables() {
		t.rows(func(key string, value any) bool {
			all = append(all, Row{t.name(), key, value})
			return true
		})
	}
	return all
}

// Untabled lists the maps of a cluster that are in no table.
func Untabled() (names []string) {
	tabled := map[string]bool{}
	for _, t := range new(Cluster).tables() {
		tabled[t.name()] = true
	}
	c := reflect.TypeFor[Cluster]()
	for f := range c.NumField() {
		if field := c.Field(f); strings.HasPrefix(field.Type.Name(), "Map[") && !tabled[field.Name] {
			names = append(names, field.Name)
		}
	}
	return names
}
