package driver

import (
	"bytes"
	"fmt"
	"unsafe"
)

// Card is what the driver says of a card. All of it can be made up by whoever
// controls the machine: it chooses kernels and sizes, and proves nothing.
type Card struct {
	Ordinal        int // place in the driver's list of this process
	Name           string
	UUID           string // GPU- and 32 hex digits in five groups; "": the driver gives none
	PCI            string // domain:bus:device.function; "": the driver gives none
	Memory         uint64 // bytes, all of them
	Major, Minor   int    // compute capability
	SMs            int
	L2             int // bytes
	ClockKHz       int // 0: not given
	MemoryClockKHz int // 0: not given
	BusBits        int // width of the memory's bus; 0: not given
	SharedOptin    int // largest dynamic shared memory of a block, in bytes, with AllowShared
}

// Numbers of CUdevice_attribute.
const (
	attributeClock       = 13
	attributeSMs         = 16
	attributeMemoryClock = 36
	attributeBusBits     = 37
	attributeL2          = 38
	attributeMajor       = 75
	attributeMinor       = 76
	attributeOptin       = 97
)

// Cards starts the driver and lists the cards that it shows to this process. An
// error is ErrLost when there is none.
func (l *Library) Cards() ([]Card, error) {
	if err := l.call(l.sym.init, 0); err != nil { // again is allowed, and does nothing
		return nil, fmt.Errorf("list cards: %w", err)
	}
	var n int32
	if err := l.call(l.sym.deviceGetCount, uintptr(unsafe.Pointer(&n))); err != nil {
		return nil, fmt.Errorf("list cards: %w", err)
	}
	cards := make([]Card, n)
	for i := range cards {
		card, err := l.card(i)
		if err != nil {
			return nil, fmt.Errorf("card %d: %w", i, err)
		}
		cards[i] = card
	}
	return cards, nil
}

// device is the driver's number of a card.
func (l *Library) device(ordinal int) (uintptr, error) {
	var dev int32
	err := l.call(l.sym.deviceGet, uintptr(unsafe.Pointer(&dev)), uintptr(ordinal))
	return uintptr(dev), err
}

func (l *Library) card(ordinal int) (Card, error) {
	card := Card{Ordinal: ordinal}
	dev, err := l.device(ordinal)
	if err != nil {
		return Card{}, err
	}
	var name [256]byte
	if err := l.call(l.sym.deviceGetName, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)), dev); err != nil {
		return Card{}, err
	}
	card.Name = text(name[:])
	if err := l.call(l.sym.deviceTotalMem, uintptr(unsafe.Pointer(&card.Memory)), dev); err != nil {
		return Card{}, err
	}
	for _, a := range []struct {
		number int
		to     *int
		needed bool
	}{
		{attributeMajor, &card.Major, true},
		{attributeMinor, &card.Minor, true},
		{attributeSMs, &card.SMs, true},
		{attributeOptin, &card.SharedOptin, true},
		{attributeL2, &card.L2, false},
		{attributeClock, &card.ClockKHz, false},
		{attributeMemoryClock, &card.MemoryClockKHz, false},
		{attributeBusBits, &card.BusBits, false},
	} {
		var v int32
		if err := l.call(l.sym.deviceGetAttribute, uintptr(unsafe.Pointer(&v)), uintptr(a.number), dev); err != nil {
			if !a.needed && !Ends(err) {
				continue
			}
			return Card{}, fmt.Errorf("attribute %d: %w", a.number, err)
		}
		*a.to = int(v)
	}
	var uuid [16]byte
	err = l.call(l.sym.deviceGetUUID, uintptr(unsafe.Pointer(&uuid[0])), dev)
	if err == nil {
		card.UUID = fmt.Sprintf("GPU-%x-%x-%x-%x-%x", uuid[:4], uuid[4:6], uuid[6:8], uuid[8:10], uuid[10:])
	} else if Ends(err) {
		return Card{}, err
	}
	var pci [32]byte
	err = l.call(l.sym.deviceGetPCI, uintptr(unsafe.Pointer(&pci[0])), uintptr(len(pci)), dev)
	if err == nil {
		card.PCI = text(pci[:])
	} else if Ends(err) {
		return Card{}, err
	}
	return card, nil
}

// text is a C string in a buffer.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
