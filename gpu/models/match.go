package models

import (
	"slices"
	"strings"
	"unicode"
)

// What part of a model's memory its driver may report, in percent: error correction
// takes a sixteenth, and reserved pages some more.
const (
	leastMemory = 88
	mostMemory  = 102
)

// Match finds the model of a card as its driver describes it. Any machine's owner can
// make a driver say anything: a match is a claim, no proof.
//
// name is CUDA's or NVML's, such as "NVIDIA H100 80GB HBM3"; case, separators and the
// words NVIDIA, Tesla and GeForce do not count, every other word does. pciID is the
// device id alone or NVML's pciDeviceId, which has the vendor in its low half; memory
// is in bytes; pciID, memory and sms are not compared where they are 0. Where the name
// fits more than one row (8 and 12 GB of RTX 3060), those decide; if they leave more
// than one, or say something else than the name, there is no match. Slices of a card
// (MIG, vGPU) and laptop parts never match.
func Match(name string, pciID uint32, memory uint64, sms int) (Spec, bool) {
	want, device := Words(name), deviceID(pciID)
	var fit []Spec
	elsewhere := false
	for _, s := range Table() {
		named := s.named(want)
		if device != 0 && !named && s.hasPCI(device) {
			elsewhere = true
		}
		if named && (memory == 0 || s.holds(memory)) && (sms == 0 || sms == s.SMs) {
			fit = append(fit, s)
		}
	}
	if elsewhere || device == 0 && pciID != 0 {
		return Spec{}, false
	}
	if len(fit) > 1 && device != 0 {
		fit = slices.DeleteFunc(fit, func(s Spec) bool { return !s.hasPCI(device) })
	}
	if len(fit) != 1 {
		return Spec{}, false
	}
	return fit[0], true
}

// nvidia is the PCI vendor.
const nvidia = 0x10de

// deviceID is 0 where id is of another vendor.
func deviceID(id uint32) uint16 {
	switch {
	case id>>16 == 0, id>>16 == nvidia:
		return uint16(id)
	case id&0xffff == nvidia:
		return uint16(id >> 16)
	}
	return 0
}

func (s Spec) named(want []string) bool {
	for _, name := range s.Names {
		if name != "" && slices.Equal(Words(name), want) {
			return true
		}
	}
	return false
}

func (s Spec) hasPCI(device uint16) bool { return device != 0 && slices.Contains(s.PCI[:], device) }

// holds is whether the model's driver may report so many bytes.
func (s Spec) holds(memory uint64) bool {
	return memory >= s.Memory/100*leastMemory && memory <= s.Memory/100*mostMemory
}

// Words splits a reported name into those that tell models apart, in lower case.
func Words(name string) []string {
	all := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.DeleteFunc(all, func(w string) bool { return w == "nvidia" || w == "tesla" || w == "geforce" })
}
