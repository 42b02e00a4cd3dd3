package telemetry

import (
	"fmt"
	"strings"
)

// modelRules hold what a card says it is against the model that it names.
func modelRules() []Rule {
	return []Rule{
		{"pci-model", true, "name of the table, PCI id", "the id is no other model's", "pci.ids (gpu/models)", func(c *card) verdict {
			id := c.inventory.PCIDevice
			if !c.known || id == 0 {
				return skip
			}
			// Models that share a name share their cards' ids: they are known in part.
			if s, ok := c.owner(id); ok && s.Names != c.model.Names {
				return found(fmt.Sprintf("%04x, which is %s", id>>16, s.Name), "an id of "+c.model.Name)
			}
			return fine
		}},
		{"pci-unlisted", false, "name of the table, PCI id", "the id is listed of the model", "pci.ids (gpu/models); new boards get new ids", func(c *card) verdict {
			id := c.inventory.PCIDevice
			if !c.known || id == 0 {
				return skip
			}
			if _, ok := c.owner(id); !ok {
				return found(fmt.Sprintf("%04x", id>>16), "an id of "+c.model.Name)
			}
			return fine
		}},
		{"pci-name", false, "name of no model, PCI id", "the id is no model's of another name", "pci.ids (gpu/models); slices and old drivers name cards otherwise", func(c *card) verdict {
			id := c.inventory.PCIDevice
			if c.known || c.inventory.Name == "" || id == 0 {
				return skip
			}
			if s, ok := c.owner(id); ok {
				return found(c.inventory.Name, s.Names[0])
			}
			return fine
		}},
		{"pci-family", true, "name of no model, PCI id", "no word for a family of cards that is not in the names of the id's models", "pci.ids (gpu/models): a spelling that is not listed still says what the card is", func(c *card) verdict {
			id := c.inventory.PCIDevice
			if c.known || c.inventory.Name == "" || id == 0 {
				return skip
			}
			if s, word, ok := c.foreign(); ok {
				return found(fmt.Sprintf("%q with the id of %s", word, s.Name), s.Names[0])
			}
			return fine
		}},
		{"compute-capability", true, "name of the table, compute capability", "equal", "CUDA's list of GPUs (gpu/models)", func(c *card) verdict {
			i, s := c.inventory, &c.model
			if !c.known || i.Major == 0 {
				return skip
			}
			if int(i.Major) != s.Major || int(i.Minor) != s.Minor {
				return found(fmt.Sprintf("%d.%d", i.Major, i.Minor), fmt.Sprintf("%d.%d", s.Major, s.Minor))
			}
			return fine
		}},
		{"cores", true, "name of the table, cores", "within an eighth of the model's SMs", "datasheets (gpu/models); the tolerance is for errors of the table", func(c *card) verdict {
			if !c.known || c.inventory.Cores == 0 || c.model.SMs == 0 {
				return skip
			}
			return c.near(float64(c.inventory.Cores), float64(c.model.SMs)*float64(coresOf(c.model.Major, c.model.Minor)), 1-1.0/8, 1+1.0/8, "cores")
		}},
		{"cores-exact", false, "name of the table, cores", "equal to the model's SMs x cores of an SM", "datasheets (gpu/models)", func(c *card) verdict {
			if !c.known || c.inventory.Cores == 0 || c.model.SMs == 0 {
				return skip
			}
			return c.near(float64(c.inventory.Cores), float64(c.model.SMs)*float64(coresOf(c.model.Major, c.model.Minor)), 1, 1, "cores")
		}},
		{"bus-width", true, "name of the table, width of the memory's bus", "within an eighth of the model's", "datasheets (gpu/models); the tolerance is for errors of the table", func(c *card) verdict {
			if !c.known || c.inventory.BusBits == 0 || c.model.BusBits == 0 {
				return skip
			}
			return c.near(float64(c.inventory.BusBits), float64(c.model.BusBits), 1-1.0/8, 1+1.0/8, "bits")
		}},
		{"bus-exact", false, "name of the table, width of the memory's bus", "equal to the model's", "datasheets (gpu/models)", func(c *card) verdict {
			if !c.known || c.inventory.BusBits == 0 || c.model.BusBits == 0 {
				return skip
			}
			return c.near(float64(c.inventory.BusBits), float64(c.model.BusBits), 1, 1, "bits")
		}},
		{"vbios", true, "compute capability, VBIOS", "first two digits are not another generation's", "dumps of nvidia-smi in public repositories: 90 T4, TITAN RTX; 92 A100; 94 A10, A16, RTX 3080; 95 L4, RTX 4090; 96 H100, GH200; 97 GB100's report; 98 RTX 5090", func(c *card) verdict {
			major, minor := int(c.inventory.Major), int(c.inventory.Minor)
			if c.known {
				major, minor = c.model.Major, c.model.Minor
			}
			chips, known := generation(c.inventory.VBIOS)
			if major == 0 || !known {
				return skip
			}
			if chips != [2]int{major, minor} && chips != [2]int{major, -1} {
				return found(c.inventory.VBIOS, fmt.Sprintf("a VBIOS of a card of %d.%d", major, minor))
			}
			return fine
		}},
		{"power-max", true, "name of the table, highest power limit", "0.5 to 10 times the board's power", "datasheets (gpu/models), range " + proposal + ": VBIOS of owners say up to 2001 W", func(c *card) verdict {
			if !c.known || c.model.Watts == 0 || c.inventory.PowerMax == 0 {
				return skip
			}
			return c.near(float64(c.inventory.PowerMax)/1000, float64(c.model.Watts), 0.5, 10, "W")
		}},
		{"power-limit", true, "name of the table, power limit", "at most 10 times the board's power", "datasheets (gpu/models), range " + proposal + ": VBIOS of owners say up to 2001 W", func(c *card) verdict {
			limit, ok := c.most(PowerLimit)
			if !ok || !c.known || c.model.Watts == 0 {
				return skip
			}
			return c.near(limit/1000, float64(c.model.Watts), 0, 10, "W")
		}},
		{"power-raised", false, "name of the table, power limit or the highest of them", "at most twice the board's power", "datasheets (gpu/models), range " + proposal + ": owners write VBIOS with more (1000 W of RTX 3090)", func(c *card) verdict {
			limit, ok := c.most(PowerLimit)
			if !ok && c.inventory.PowerMax == 0 || !c.known || c.model.Watts == 0 {
				return skip
			}
			return c.near(max(limit, float64(c.inventory.PowerMax))/1000, float64(c.model.Watts), 0, 2, "W")
		}},
		{"clock-max", true, "name of the table, maximum clock of the SMs", "at most 1.5 times the model's boost", "datasheets (gpu/models); dumps of nvidia-smi: 1.0 on compute cards, 1.23 on RTX 4090, 1.28 on RTX 5090", func(c *card) verdict {
			clock, ok := c.most(ClockSMMax)
			if !ok || !c.known || boost(c.model) == 0 {
				return skip
			}
			return c.near(clock, boost(c.model)/1e6, 0, 1.5, "MHz")
		}},
		{"clock-memory", true, "name of the table, maximum clock of the memory", "0.8 to 1.3 times the model's", "datasheets (gpu/models), range " + proposal + ": owners of GeForce cards add a fifth", func(c *card) verdict {
			clock, ok := c.most(ClockMemoryMax)
			if !ok || !c.known || c.model.MemoryHz == 0 {
				return skip
			}
			return c.near(clock, float64(c.model.MemoryHz)/1e6, 0.8, 1.3, "MHz")
		}},
	}
}

// near is whether what was seen is from low to high times what is right.
func (c *card) near(seen, right, low, high float64, unit string) verdict {
	if seen >= float64(right*low) && seen <= float64(right*high) {
		return fine
	}
	return found(fmt.Sprintf("%.6g %s", seen, unit), fmt.Sprintf("%.6g %s of %s", right, unit, c.model.Name))
}

// generation is the compute capability whose cards have a VBIOS, by its first two
// digits; a minor of -1 is any.
func generation(vbios string) (cc [2]int, known bool) {
	first, _, dotted := strings.Cut(vbios, ".")
	if !dotted {
		return cc, false
	}
	switch first {
	case "90":
		return [2]int{7, 5}, true
	case "92":
		return [2]int{8, 0}, true
	case "94":
		return [2]int{8, 6}, true
	case "95":
		return [2]int{8, 9}, true
	case "96":
		return [2]int{9, 0}, true
	case "97":
		return [2]int{10, -1}, true
	case "98":
		return [2]int{12, -1}, true
	}
	return cc, false
}
