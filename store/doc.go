// Package store keeps what a node must not forget: one Pebble database per node,
// a checker's or a provider's.
//
// [Create] makes a database, [Open] opens one; neither does the other's work, so
// that a checker never starts empty by accident and forgets what it knew. The
// rows' types are the packages' that use them: challenges, receipt, report,
// reputation.
//
// # Promises
//
// [DB.Begin], [DB.Finish], [DB.Abandon], [DB.Seal], [DB.Use] and [DB.NextBoot]
// are on the disk when they return. Each is one batch: after a crash it happened
// or it did not. When one of them returns an error, it may still turn out to have
// happened once the database is opened again, as with any write whose
// acknowledgement was lost; a caller that repeats it gets [ErrExists] or
// [ErrUsed] then.
//
// After a write that the disk refused, every later write fails: what is in memory
// is then ahead of what is on disk, and a node that goes on would sign things
// that it can forget. The owner should close the store and stop. A full disk is
// such a refusal, also when it is met by a flush in the background; the error says
// "disk full" and which folder. Where Pebble cannot go on at all, which is when its
// manifest cannot be written, the process ends; the log says why, and to the
// database it is a crash.
//
// # Key table
//
// A key is one table byte and fields of fixed width, integers big-endian. Times
// are Unix time in ns with the sign bit flipped, so that they sort. A value is a
// version byte, 2, and the canonical CBOR of an array, or the bytes of an
// envelope, which are that too.
//
//	table            key after the table byte        value
//	01 meta          -                               Meta; its version byte is the database's format
//	02 begun         challenge 32                    Begun
//	03 ended         challenge 32                    hash of the transcript, zero if abandoned; for ever
//	04 abandoned     challenge 32                    when, and Begun
//	05 transcripts   transcript 32                   envelope; nothing once it was deleted
//	06 index         time 8, transcript 32           TranscriptInfo
//	07 slices        epoch 8, provider 32            Slices
//	08 items         epoch 8, provider 32, chal. 32  report.Item
//	09 observations  epoch 8, provider 32            envelope
//	0a standings     provider 32                     reputation.Standing
//	0b sealed        -                               first epoch that is not sealed
//	0c offers        provider 32                     envelope
//	0d uses          challenge 32                    Use
//	0e uses-index    time 8, challenge 32            nothing
//	0f boot          -                               number of the last boot
//	10 restored      -                               when backups were restored, and the epochs passed over since
//	11 retained      -                               how far Retain has come in the index
//	12 copies        challenge 32                    receipt.Copy
//	13 copies-index  time 8, challenge 32            receipt.Info
//	14 copies-retained -                             how far Retain has come in copies-index
//
// [DB.Retain] deletes the bodies of old transcripts and a provider's old copies, and
// nothing else is deleted but what moves from one table to another.
//
// Package table has the keys and the rows, package inspect the check of all of it.
package store
