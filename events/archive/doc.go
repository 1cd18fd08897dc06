// Package archive is the file form of the log: an export that can be verified, imported and read in place of the log itself.
//
// The content is lines of JSON. First a [Header]; then the events, each in the canonical line that its leaf in the audit's tree is the hash of; after every
// [BlockEvents] of them, and after the last, a seal with a short hash of each event since the seal before, which tells exactly where a file
// is damaged; last an end with a hash of all that is before it. The lines are compressed with zstd in frames that can be read one by one: before each
// frame stands a skippable frame that says which events are in it and how long it is, and the file's last skippable frame
// has a hash of the file. Any zstd tool reads the content (zstd -dc FILE). docs/design/audit.md is the format in full.
package archive
