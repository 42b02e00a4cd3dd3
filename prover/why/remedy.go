package why

import (
	"slices"
	"strings"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Commands that remedies name.
const (
	selftest = "assay provider selftest"
	ask      = "Ask the checker: assay transcripts list --api URL, with its URL."
)

// remedy says what to do. What the agent's machine knows of itself comes first: a
// fault explains silence, and a slow clock a late answer.
func (e *Explanation) remedy(throttled int64) string {
	var out []string
	add := func(s string) { out = append(out, s) }
	if e.Contradicts {
		add("Keep the copy. Fetch the checker's transcript (assay transcripts export --api URL) and look at it with assay verify: if what it shows is not what the copy shows, both together are the evidence.")
	}
	fault := join(faults[e.Fault], xids[e.Xid])
	if fault == "" && (e.Fault != "" || e.Xid != 0) {
		fault = "Look for errors of the card in dmesg, and run " + selftest + "."
	}
	switch {
	case e.Contradicts && e.Outcome == challenges.Wrong:
		add("To be sure of the device, run " + selftest + ".")
	case e.Outcome == challenges.Wrong:
		add(e.ended(throttled))
		add(fault)
	case e.Contradicts && e.Outcome == challenges.Pass:
	case fault != "" && e.Outcome != challenges.Pass && e.Outcome != challenges.Unknown:
		add(fault)
	default:
		add(e.ended(throttled))
	}
	if e.Outcome == 0 {
		add(ask)
	}
	return join(out...)
}

// join puts sentences after each other.
func join(sentences ...string) string {
	return strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), " ")
}

// ended is the remedy for how it ended, where no fault explains it.
func (e *Explanation) ended(throttled int64) string {
	switch e.Outcome {
	case challenges.Pass:
		return "Nothing to do."
	case challenges.Wrong:
		return "Take the device out of the offer at once, since every further wrong answer is one more proof. Undo overclocking and undervolting, look for memory errors (nvidia-smi -q -d ECC), and offer it again only when " + selftest + " has passed several times."
	case challenges.Late:
		return late(e.Clause, throttled)
	case challenges.Refused:
		return refusal(e.Reason)
	case challenges.Unknown:
		if e.Reason == challenges.AbortOverrun {
			return "Nothing to do for the network: give the machine that simulates devices fewer of them, or more cores."
		}
		return "Nothing to do: it does not count, and the checker measures again."
	case challenges.Withheld:
		if s := gaveUp(e.Reason); s != "" {
			return s
		}
		return withheld(e.Clause)
	case challenges.Unreachable:
		if s := gaveUp(e.Reason); s != "" {
			return s
		}
		if e.Clause != "" && e.Clause != challenges.ClauseSilence {
			return withheld(e.Clause)
		}
		return "Look whether the agent ran then, and whether the addresses in its offer can be reached from outside: the port open for UDP and TCP, forwarded through NAT, and no other machine behind it."
	}
	return results[strings.TrimPrefix(e.Result, refusedPrefix)] + silent(e.Result)
}

// refusedPrefix begins the results of refusals; then comes the reason.
const refusedPrefix = "refused_"

// results are the remedies by the agent's own word, for when the checker's is not
// known. Refusals have their reason's.
var results = map[string]string{
	"answered": "Nothing to do: the agent answered to the end.",
	"left":     "The checker left, or its stream broke, before the end. If it is always the same checker it may be the path to it; if it is all of them, look at this machine's network.",
	"failed":   "The agent could not answer by its own failure. Its log says more; run " + selftest + ".",
	"aborted":  "The machine under the simulated device was too slow.",
	"yielded":  "A tenant came while the challenge ran.",
}

func silent(result string) string {
	if reason, ok := strings.CutPrefix(result, refusedPrefix); ok {
		return refusal(strings.ReplaceAll(reason, "_", "-"))
	}
	if results[result] == "" {
		return "The agent's log says more."
	}
	return ""
}

func late(clause string, throttled int64) string {
	const thermal = telemetry.ThrottleThermal | telemetry.ThrottleHWThermal
	switch {
	case throttled&thermal != 0:
		return "The card was too hot, and slowed down. Improve its cooling, or claim what it reaches when it is warm: " + selftest + " measures that."
	case throttled&(telemetry.ThrottlePowerBrake|telemetry.ThrottleHardware) != 0:
		return "The machine's power supply slowed the card down. Look at the supply, its cables and the limits of the chassis."
	case throttled&telemetry.ThrottlePowerCap != 0:
		return "The card was at its power limit. Raise it (nvidia-smi -pl), or claim what it reaches at this limit: " + selftest + " measures that."
	case throttled&(telemetry.ThrottleApplication|telemetry.ThrottleSync) != 0:
		return "The card's clocks are set below its own. Reset them (nvidia-smi -rac and -rgc), or claim what it reaches with them."
	case clause == challenges.ClauseFilled:
		return "Filling the memory took longer than a device of its class needs three times over. Look for other programs on the card (nvidia-smi), and whether the model in the configuration is the card's."
	case clause == challenges.ClauseProven:
		return "The reads were slow. Look for other programs that use the card's memory (nvidia-smi), and whether the model and the memory in the configuration are the card's; then run " + selftest + "."
	}
	return "Nothing held the clocks down that is known of. Claim what nine runs of ten reach, the p10 of " + selftest + ", not the best. If that is what is claimed, look for other programs on the card, and at the path to the checker: long or lossy paths cost time."
}

// gaveUp is the remedy for a run that the agent gave up itself.
func gaveUp(reason string) string {
	switch reason {
	case challenges.AbortTenant:
		return "A tenant who comes in the middle of a run costs it. Where his coming is known before, say so before (assay provider drain): what is refused for a tenant does no harm."
	case challenges.AbortFault:
		return "The device, or what runs it, failed in the middle of the run. Look at the agent's log and at dmesg, and run " + selftest + "."
	case challenges.AbortOverrun:
		return "The machine under the simulated device was too slow: give it fewer devices, or more cores."
	}
	return ""
}

// withheld is the remedy for answers that were none, by the clause that they broke.
func withheld(clause string) string {
	switch clause {
	case challenges.ClauseAuthentic:
		return "What was opened is not what was signed before: the data changed in between, in the card's memory or the machine's. Look for memory errors (nvidia-smi -q -d ECC, and a test of the machine's memory), and run " + selftest + "."
	case challenges.ClauseFilled:
		return "The word that the memory is filled came twice, or a result came before it. That is a fault of the agent's program: update assay, or report it with the copy."
	case challenges.ClauseKeyChain:
		return "The rounds were computed with other inputs than the protocol gives. Run the same version of assay and assay-gpu; if they are, report it with the copy."
	case challenges.ClauseRootOrder, challenges.ClauseEcho, challenges.ClauseShape, challenges.ClauseResult, challenges.ClauseSequence,
		challenges.ClauseRefusal, challenges.ClauseAbort, challenges.ClauseFrames:
		return "An answer did not have the form that the protocol gives (" + clause + "). That is a fault of the agent's program: update assay, or report it with the copy."
	}
	return "Answers stopped, or did not come through. If the agent's result is answered, it was the path: look at its loss, and at limits of upload. If it is left or failed, see the agent's log, and whether it was stopped in the middle: assay provider drain lets runs end."
}

func refusal(reason string) string {
	switch reason {
	case challenges.ReasonQuota:
		return "Nothing to do: the device had done its share for that checker or that day. If it happens often, raise the budget in the configuration."
	case challenges.ReasonBusy:
		return "The agent had no time for it, or could not write down that it begins. Look at its log, and at the room on its disk."
	case challenges.ReasonTenant:
		return "Nothing to do: the device is a tenant's, and that does no harm."
	case challenges.ReasonDrain:
		return "Nothing to do: the agent drains, and that does no harm. assay provider resume ends it."
	case challenges.ReasonCollision:
		return "Nothing to do: the device was at another challenge, and that does no harm."
	case challenges.ReasonUnsupported:
		return "The challenge did not fit the device as it is offered now. After a change of the configuration that ends with the next offer; if it goes on, compare this machine's clock and network file with the checker's."
	case challenges.ReasonNotMember:
		return "The sender is no checker of this network's file. If it should be, get the network's newest file."
	case challenges.ReasonReplay:
		return "The challenge was used before. If the database was restored or the folder copied, make sure that one agent alone runs with this key."
	case challenges.ReasonFault:
		return "The device, or what runs it, was not ready. assay provider status says why; look at dmesg, and run " + selftest + "."
	}
	return "The agent refused for a reason of its own: see its log."
}

// faults are the remedies by the class of a device's fault.
var faults = map[string]string{
	gpu.FaultCrash:  "What runs the device died. It is started again by itself; if it dies again, see the agent's log and run " + selftest + ".",
	gpu.FaultHang:   "The device did not answer in time, and what ran it was ended. If it hangs again, restart the machine, then run " + selftest + ".",
	gpu.FaultMemory: "The card's memory was not enough: something else holds part of it (nvidia-smi lists who). End that, or offer less memory.",
	gpu.FaultLost:   "The card is gone from the machine. Look at dmesg, then at its seat, riser and power cables; a restart may bring it back.",
	gpu.FaultDriver: "The driver failed a call; the detail says which. Look at dmesg; restart the machine, or install the driver again.",
	gpu.FaultWrong:  "The device computes wrong. Do not offer it: undo overclocking, and replace it if " + selftest + " still fails.",
	gpu.FaultAbsent: "There was no driver, no worker or no such card, or it was being started. Look whether nvidia-smi shows the card, and whether assay-gpu lies beside assay; just after a start there is nothing to do.",
}

// xids are what NVIDIA's numbers mean, and what helps: the common ones.
var xids = map[uint32]string{
	13:  "Xid 13 is an error in a program's kernel: of another program on the card, or of a card that is overclocked.",
	31:  "Xid 31 is a memory page fault, of a program or of the card's memory: if it comes again with no other program on the card, the card is to be tested.",
	43:  "Xid 43 says that a program's work was stopped after an error of its own; the card is well.",
	45:  "Xid 45 is the clean-up after a program that was ended; the card is well.",
	48:  "Xid 48 is an ECC error that could not be corrected: reset the card (nvidia-smi -r); if it comes again, replace it.",
	61:  "Xid 61 is a stop in the card's own firmware: restart the machine, and update the driver.",
	62:  "Xid 62 is a halt of the card's own firmware: restart the machine, and update the driver and the VBIOS.",
	63:  "Xid 63 says that a bad row of memory was put aside: reset the card (nvidia-smi -r) soon.",
	64:  "Xid 64 says that a bad row of memory could not be put aside: the card is to be replaced.",
	74:  "Xid 74 is an NVLink error: look at the bridge or the switch, and at nvidia-smi nvlink -e.",
	79:  "Xid 79 says that the card fell off the bus: power, heat, its seat or its riser. Restart the machine after looking at them.",
	94:  "Xid 94 is an ECC error that hit one program only: reset the card (nvidia-smi -r) when it is free.",
	95:  "Xid 95 is an ECC error that may have hit every program: reset the card (nvidia-smi -r) before anything else runs on it.",
	119: "Xid 119 says that the card's system processor (GSP) did not answer: restart the machine, and update the driver.",
	120: "Xid 120 is an error of the card's system processor (GSP): restart the machine, and update the driver.",
}
