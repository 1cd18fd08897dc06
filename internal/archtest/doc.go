// Package archtest holds the house to its design: who may import whom, with the reason for every ban.
package archtest
