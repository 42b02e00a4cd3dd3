// Package challenges is what a checker and a provider say to each other, and
// how anybody judges it afterwards.
//
// It is the protocol's pure core: no network, no clock, no files, no
// goroutines. A checker that runs a challenge live and a customer who replays
// its transcript a year later drive the same [Session], so the two cannot
// disagree. docs/PROTOCOL.md is the specification; the clause that a check
// implements stands above it.
//
// # Life of a challenge
//
// A checker draws a [Secret], puts its commitment into a [Challenge], seals it
// in an [Envelope] and sends it. The provider answers with frames, each ending
// in a signature over the running hash of its own frames on that stream. The
// session turns every event into the frames to send next, and in the end into a
// [Verdict]. A [Transcript] keeps the events, reveals the secret, and is sealed
// by the checker; [Replay] repeats the judgement from it. The provider gets a
// receipt, which package receipt defines.
//
// # Proof and testimony
//
// Outcomes wrong and refused, and the arithmetic of pass, are proofs: they
// follow from the provider's signatures. Late, withheld, unreachable and every
// duration are the checker's testimony; they count only through quorums and
// medians of several checkers.
package challenges
