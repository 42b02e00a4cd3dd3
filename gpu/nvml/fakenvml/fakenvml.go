// Package fakenvml is a management library without a card, for tests: a library with
// NVML's functions whose answers are settings. These lie in a file beside it, so that
// a test can change what another process is told. It is built with gcc from the
// sources in c.
//
// Settings are pairs KEY=VALUE with commas between them; KEY.N=VALUE is for card N
// alone, and goes before KEY=VALUE. An empty value is as none.
//
//	cards=N                                        up to 16, each an H100 by default
//	uuid= pci=0000:01:00.0 name= serial= vbios=    of card N by default as fakecuda's card N says; "-" for a serial: none
//	driver=550.54.15 nvml= cuda=12040 capability=9.0 cores= bus= power_max=MW pci_device=0x233010de pci_subsystem=
//	energy=MJ                                      fixed; without it the counter rises by 350 W
//	power=MW power_limit=MW clock_sm=MHZ clock_memory= clock_sm_max= clock_memory_max= throttle=BITS temperature= pstate=
//	memory=BYTES memory_reserved= memory_used= util=PERCENT util_memory=
//	ecc=1 ecc_corrected= ecc_uncorrected= remapped_corrected= remapped_uncorrected= remap_pending= remap_failed=
//	retired_single= retired_double=                by default none are supported
//	pcie_generation= pcie_generation_max= pcie_width= pcie_width_max= pcie_sent=KIB/S pcie_received= pcie_replays=
//	mig=0 gpm=50                                   metric I of GPM is gpm + I/100 percent; gpm=-: a card without
//	processes=PID:NAME:BYTES;... mps=...           no bytes: not known
//	cc=1                                           confidential computing: 0 off, 1 on, 2 developer tools, -1 unknown to the driver
//	report_size= certificate_size=                 what the attestation says of its length
//	xid=NUMBER or NUMBER:ANYTHING                  an event, each time that the value changes
//	events=BITS                                    kinds of events that are supported
//	lost=1 reset=1                                 every call on the card says so
//	fail=CALL:CODE;...                             calls (names of C) that answer with a code of nvml.h
//	stuck=CALL;... crash=CALL;...                  calls that do not return until this changes; that kill the process
//	missing=CALL;...                               symbols that the library lacks; for New alone
//
// A number below zero, where a card can lack it, is a reading that it does not support.
package fakenvml

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// GeForce are settings of a card that lacks what GeForce cards lack.
const GeForce = "name=NVIDIA GeForce RTX 4090,serial=-,capability=8.9,cores=16384,bus=384,pci_device=0x268410de," +
	"pci_subsystem=0x40e51458,vbios=95.02.3C.00.01,power_max=600000,power_limit=450000,memory=25757220864,ecc=-1," +
	"remapped_corrected=-1,mig=-1,gpm=-,cc=-1"

const settingKeys = "cards uuid pci name serial vbios driver nvml cuda capability cores bus power_max pci_device pci_subsystem " +
	"energy power power_limit clock_sm clock_memory clock_sm_max clock_memory_max throttle temperature pstate " +
	"memory memory_reserved memory_used util util_memory ecc ecc_corrected ecc_uncorrected remapped_corrected " +
	"remapped_uncorrected remap_pending remap_failed retired_single retired_double pcie_generation pcie_generation_max " +
	"pcie_width pcie_width_max pcie_sent pcie_received pcie_replays mig gpm processes mps cc report_size certificate_size " +
	"xid events lost reset fail stuck crash"

// Library is a library that belongs to one test.
type Library struct {
	Path string // of the library; its settings lie beside it

	t        testing.TB
	mu       sync.Mutex
	settings map[string]string
}

// New builds the library, once for a test binary, and writes it and its settings
// into a folder of the test. A process should load only one such library.
func New(t testing.TB, settings string) *Library {
	t.Helper()
	content := library(t)
	l := &Library{Path: filepath.Join(t.TempDir(), "libnvidia-ml.so.1"), t: t, settings: map[string]string{}}
	var rest []string
	for _, pair := range pairs(settings) {
		missing, ok := strings.CutPrefix(pair, "missing=")
		if !ok {
			rest = append(rest, pair)
			continue
		}
		for name := range strings.SplitSeq(missing, ";") {
			content = without(t, content, name)
		}
	}
	if err := os.WriteFile(l.Path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Configure(strings.Join(rest, ","))
	return l
}

// Configure changes settings, also of a library that a process has loaded: each call
// reads them.
func (l *Library) Configure(settings string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pair := range pairs(settings) {
		key, value, ok := strings.Cut(pair, "=")
		name, _, _ := strings.Cut(key, ".")
		if !ok || !slices.Contains(strings.Fields(settingKeys), name) || strings.Contains(value, "\n") {
			l.t.Fatalf("fake NVML: no such setting: %q", pair)
		}
		l.settings[key] = value
	}
	var lines bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(l.settings)) {
		fmt.Fprintf(&lines, "%s=%s\n", key, l.settings[key])
	}
	if lines.Len() >= 16<<10 || len(l.settings) > 256 {
		l.t.Fatalf("fake NVML: too many settings")
	}
	// Replaced at once: a call never reads half of it.
	file := l.Path + ".settings"
	if err := os.WriteFile(file+".new", lines.Bytes(), 0o600); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		l.t.Fatal(err)
	}
}

func pairs(settings string) []string {
	return slices.DeleteFunc(strings.Split(settings, ","), func(s string) bool { return s == "" })
}

// Symbols lists the functions of NVML that the library has.
func Symbols(t testing.TB) []string {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(library(t)))
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range symbols {
		if strings.HasPrefix(s.Name, "nvml") {
			names = append(names, s.Name)
		}
	}
	return names
}

// without gives the library with a symbol's name changed, which is as good as gone.
func without(t testing.TB, content []byte, name string) []byte {
	t.Helper()
	old := []byte("\x00" + name + "\x00")
	if !strings.HasPrefix(name, "nvml") || !bytes.Contains(content, old) {
		t.Fatalf("fake NVML: it has no %s to lack", name)
	}
	return bytes.ReplaceAll(content, old, []byte("\x00gone"+name[4:]+"\x00"))
}

func library(t testing.TB) []byte {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil || runtime.GOOS != "linux" {
		t.Skip("the fake library needs gcc and Linux")
	}
	content, err := build()
	if err != nil {
		t.Fatalf("build the fake library: %v", err)
	}
	return content
}

// build gives the library as a file's content.
var build = sync.OnceValues(func() ([]byte, error) {
	_, self, _, _ := runtime.Caller(0)
	here := filepath.Join(filepath.Dir(self), "c")
	dir, err := os.MkdirTemp("", "assay-fake-nvml")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	files, err := filepath.Glob(filepath.Join(here, "*.[ch]"))
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "libnvidia-ml.so.1")
	const flags = "-std=gnu11 -shared -fPIC -O1 -fvisibility=hidden -Wl,-Bsymbolic -Wall -Wextra -Werror"
	args := append(strings.Fields(flags), "-o", out)
	for _, file := range files {
		if _, err := os.Stat(file); err != nil { // also tells go test what a result depends on
			return nil, err
		}
		if filepath.Ext(file) == ".c" {
			args = append(args, file)
		}
	}
	if said, err := exec.Command("gcc", append(args, "-lpthread", "-ldl")...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return os.ReadFile(out)
})
