// Package attest verifies the evidence by which NVIDIA's devices say what they are: a
// report of measurements that a key in the chip has signed over a nonce of the caller's,
// and the certificates that lead from that key to NVIDIA's root.
//
//	evidence, err := attest.ParseInput(file)   // or straight from a driver
//	result := attest.Verify(evidence[0], attest.NVIDIA(), attest.Reference{})
//	if result.Holds() { … result.DeviceID … }
//
// [Verify] does all of it and is where to start. The parts are there to be used alone:
// [ParseReport], [ParseChain] and [Chain.Verify]; [ParseRIM] and [Compare] for the
// reference manifests that say what a driver and a VBIOS measure; [ParseOCSP] and
// [CheckOCSP] for what was revoked.
//
// # What there is
//
// Cards in confidential-computing mode (Hopper, Blackwell) sign 64 digests of driver and
// firmware, and the vendor's fields: versions, board, switches. Blackwell cards outside
// that mode have a firmware processor that signs which chip and board it is, and no
// driver. NVSwitches sign 31 digests. A [Mode] tells them apart. Nothing else signs:
// older cards, and Hopper outside confidential mode, have no report.
//
// # What it proves
//
// A result that holds says that a genuine device with this identity signed this nonce
// while it was in the state reported. It does not say where the device is, who asked
// it, that it runs anybody's work, or that its host is honest: whoever reaches a device
// can relay a challenge to it. A nonce that hashes in what is at stake (a key, a result)
// makes the device sign that too. Without a nonce a report may be of any time.
//
// # Strictness
//
// The package depends on its arguments alone: it reads no clock, file or network, and
// keeps no state. No bytes make it panic, and what it allocates is bounded by what it is
// given. It refuses what contradicts itself, and whatever no device is known to say
// where accepting it would mean to guess; what the format leaves open (fields of types
// to come, versions, numbers of blocks) is kept and not refused. Texts of a report that
// it accepts are short, of letters, digits, dots and dashes, and so safe to print.
//
// Every finding is a [Reason] with a [Code] that programs may compare. Whatever ends in
// the root of a simulation ([Root]) is marked so.
package attest
