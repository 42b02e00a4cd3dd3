package selftest

import (
	"fmt"
	"strings"
)

// YAML is the part of assay.yaml that offers what was measured; empty where no card
// was. A device of which nothing was found good is left out.
func YAML(claims []Claim) string {
	var b strings.Builder
	for _, c := range claims {
		if c.Simulated || c.Int8+c.BF16+c.FP64+c.Memory == 0 {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("devices:\n")
		}
		fmt.Fprintf(&b, "  - id: %s\n    model: %s\n", c.Device, c.Model)
		if c.Card != "" {
			fmt.Fprintf(&b, "    card: %s\n", c.Card)
		}
		for _, v := range []struct {
			name  string
			value uint64
		}{{"memory", c.Memory}, {"int8", c.Int8}, {"bf16", c.BF16}, {"fp64", c.FP64}} {
			if v.value > 0 {
				fmt.Fprintf(&b, "    %s: %d\n", v.name, v.value)
			}
		}
	}
	return b.String()
}
