package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/assaynet/assay/gpu/models"
)

// Supported is whether there are kernels for the card.
func (c Card) Supported() bool { return models.Supported(c.Major, c.Minor) }

// Bandwidth is that of the card's memory by its clock and its width, in bytes a
// second; 0 if the driver does not give them. Each line of the bus moves two bits a
// clock.
func (c Card) Bandwidth() uint64 {
	return 2 * uint64(c.MemoryClockKHz) * 1000 * uint64(c.BusBits) / 8
}

// Model is the card's row in the table of models, or that of its class with no
// rates: false below the least compute capability that there are kernels for.
func (c Card) Model() (spec models.Spec, known, ok bool) {
	if spec, ok = models.Match(c.Name, c.pciID(), c.Memory, c.SMs); ok {
		return spec, true, true
	}
	spec, ok = models.Class(c.Major, c.Minor, c.Bandwidth())
	return spec, false, ok
}

// pciID is the device id of the card, the upper half, and its vendor, the lower, as
// NVML gives them; 0 where the system does not say. CUDA names a card by its place on
// the bus alone.
func (c Card) pciID() uint32 { return pciID("/sys/bus/pci/devices", c.PCI) }

func pciID(root, place string) uint32 {
	if place == "" || strings.ContainsAny(place, `/\`) {
		return 0
	}
	read := func(file string) (uint32, error) {
		text, err := os.ReadFile(filepath.Join(root, strings.ToLower(place), file))
		if err != nil {
			return 0, fmt.Errorf("PCI id: %w", err)
		}
		v, err := strconv.ParseUint(strings.TrimSpace(string(text)), 0, 16)
		return uint32(v), err
	}
	device, err := read("device")
	if err != nil {
		return 0
	}
	vendor, err := read("vendor")
	if err != nil {
		return 0
	}
	return device<<16 | vendor
}
