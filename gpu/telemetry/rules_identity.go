package telemetry

import (
	"fmt"
	"strconv"
	"strings"
)

// identityRules are about texts that need no model.
func identityRules() []Rule {
	return []Rule{
		{"name-mock", true, "name", "no \"mock\" in the name", "attestation.md 5.6: stand-ins for NVML name their cards so", func(c *card) verdict {
			switch name := strings.ToLower(c.inventory.Name); {
			case name == "":
				return skip
			case strings.Contains(name, "mock"), strings.Contains(name, "fake"):
				return found(c.inventory.Name, "the name of a card")
			}
			return fine
		}},
		{"uuid-form", true, "UUID", "GPU- or MIG- and 32 hex digits in five groups; or MIG-GPU-, they, and /instance/instance", nvmlDoc + ", nvmlDeviceGetUUID; MIG user guide: the last form before R470", func(c *card) verdict {
			switch {
			case c.inventory.UUID == "":
				return skip
			case !isUUID(c.inventory.UUID):
				return found(c.inventory.UUID, "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
			}
			return fine
		}},
		{"driver-form", true, "driver", "MAJOR.MINOR or MAJOR.MINOR.PATCH, MAJOR 418 to 999", "NVIDIA's archive of Unix drivers; 418 is the first with Turing's compute cards", func(c *card) verdict {
			switch {
			case c.inventory.Driver == "":
				return skip
			case driverParts(c.inventory.Driver) == 0:
				return found(c.inventory.Driver, "a version such as 550.54.15")
			}
			return fine
		}},
		// Both have versions of two parts: reports of real cards have 590.12 and 545.00 of Linux.
		{"driver-windows", false, "driver, NVML's version", "from 520 on, three parts or NVML of the same version", "under WSL the driver is Windows' (551.61) and NVML is Linux's (550.54)", func(c *card) verdict {
			i := c.inventory
			switch parts := driverParts(i.Driver); {
			case parts == 0 || i.NVML == "":
				return skip
			case parts == 2 && i.Driver >= "520" && !sameVersion(i.NVML, i.Driver):
				return found(i.Driver, "a version of Linux's driver, such as 550.54.15")
			}
			return fine
		}},
		{"nvml-version", false, "driver, NVML's version", "NVML's ends with the driver's", nvmlDoc + ", nvmlSystemGetNVMLVersion; library and driver refuse each other otherwise", func(c *card) verdict {
			i := c.inventory
			switch {
			case i.Driver == "" || i.NVML == "":
				return skip
			case !sameVersion(i.NVML, i.Driver):
				return found(i.NVML, "… ."+i.Driver)
			}
			return fine
		}},
		{"confidential-text", false, "state of confidential computing", "off, on or devtools", "gpu/nvml, which writes it", func(c *card) verdict {
			switch c.inventory.Confidential {
			case "":
				return skip
			case "off", "on", "devtools":
				return fine
			}
			return found(strconv.Quote(c.inventory.Confidential), "off, on or devtools")
		}},
		{"pci-vendor", true, "PCI id", "vendor 10de", "PCI ids", func(c *card) verdict {
			switch id := c.inventory.PCIDevice; {
			case id == 0:
				return skip
			case id&0xffff != vendor || id>>16 == 0:
				return found(fmt.Sprintf("%08x", id), "xxxx10de")
			}
			return fine
		}},
	}
}

// sameVersion is whether a version of NVML, such as 12.550.54.15, is of a driver.
func sameVersion(nvml, driver string) bool {
	return nvml == driver || strings.HasSuffix(nvml, "."+driver)
}

// isUUID is whether s is GPU- or MIG- and a UUID, or what slices had before R470: their
// card's, and the numbers of two instances, as in MIG-GPU-…/1/0.
func isUUID(s string) bool {
	rest, ok := strings.CutPrefix(s, "GPU-")
	if !ok {
		if rest, ok = strings.CutPrefix(s, "MIG-"); !ok {
			return false
		}
		if old, ok := strings.CutPrefix(rest, "GPU-"); ok {
			parts := strings.Split(old, "/")
			if len(parts) != 3 || !isNumber(parts[1]) || !isNumber(parts[2]) {
				return false
			}
			rest = parts[0]
		}
	}
	if len(rest) != 36 {
		return false
	}
	for n, c := range rest {
		switch n {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !strings.ContainsRune("0123456789abcdefABCDEF", c) {
				return false
			}
		}
	}
	return true
}

// driverParts is how many parts a driver's version has; 0: it is none.
func driverParts(s string) int {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return 0
	}
	for n, p := range parts {
		if !isNumber(p) {
			return 0
		}
		if major, _ := strconv.Atoi(p); n == 0 && major < 418 {
			return 0
		}
	}
	return len(parts)
}

// isNumber is whether s is one to three digits.
func isNumber(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}
