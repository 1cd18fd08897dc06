// Package fingerprint holds processes to the promise that one log folds to one state: each tells the hash that it came to at a sequence at which
// the others look as well, and somebody compares.
package fingerprint
