package driver

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPCIID(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "0000:1b:00.0")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("device", "0x2330\n")
	if got := pciID(root, "0000:1B:00.0"); got != 0 {
		t.Errorf("without a vendor: %#x", got)
	}
	put("vendor", "0x10de\n")
	for _, tt := range []struct {
		place string
		want  uint32
	}{
		{"0000:1B:00.0", 0x2330_10de},
		{"0000:1b:00.0", 0x2330_10de},
		{"0000:00:00.0", 0},
		{"", 0},
		{"../0000:1b:00.0", 0},
	} {
		if got := pciID(root, tt.place); got != tt.want {
			t.Errorf("%q: %#x, want %#x", tt.place, got, tt.want)
		}
	}
	put("device", "2330 and more")
	if got := pciID(root, "0000:1b:00.0"); got != 0 {
		t.Errorf("a device that is no number: %#x", got)
	}
}

func TestCardModel(t *testing.T) {
	h100 := Card{Name: "NVIDIA H100 80GB HBM3", Memory: 85_028_765_696, SMs: 132, Major: 9, MemoryClockKHz: 2_619_000, BusBits: 5120}
	strange := h100
	strange.Name = "NVIDIA H123"
	old := Card{Name: "Tesla V100-SXM2-16GB", Memory: 16 << 30, SMs: 80, Major: 7}
	for _, tt := range []struct {
		name      string
		card      Card
		want      string
		known, ok bool
	}{
		{"a card of the table", h100, "h100-sxm", true, true},
		{"a card of its class", strange, "other-h100", false, true},
		{"too old", old, "", false, false},
	} {
		spec, known, ok := tt.card.Model()
		if spec.Name != tt.want || known != tt.known || ok != tt.ok || tt.card.Supported() != tt.ok {
			t.Errorf("%s: %q, known %v, ok %v, supported %v", tt.name, spec.Name, known, ok, tt.card.Supported())
		}
	}
	if got, want := h100.Bandwidth(), uint64(3_352_320_000_000); got != want {
		t.Errorf("bandwidth %d, want %d", got, want)
	}
}
