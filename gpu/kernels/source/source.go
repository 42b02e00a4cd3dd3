// Package source compiles the kernels and keeps account of what they were compiled
// from.
package source

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Compiler is the compiler's command. Another one makes other PTX.
const Compiler = "clang-19"

// Manifest is the name of the file that says what the modules were made from.
const Manifest = "SOURCES"

// Target is a module to compile.
type Target struct {
	Name string // of the architecture, and of the module's file
	PTX  string // the version of PTX: as low as the instructions allow, for old drivers
	SM   string // the macro by which the sources tell the targets
}

// Targets lists all modules.
func Targets() []Target {
	return []Target{{"sm_75", "ptx65", "75"}, {"sm_80", "ptx70", "80"}, {"sm_90a", "ptx80", "90"}}
}

// File is the name of the module's PTX.
func (t Target) File() string { return t.Name + ".ptx" }

// CubinFile is the name of the module's compressed machine code.
func (t Target) CubinFile() string { return t.Name + ".cubin.gz" }

// Flags are those of the compiler. What threads do together (a shuffle, a barrier, a
// product of the matrix units) is assembly to it: only if it takes functions for
// convergent does it keep them from moving into branches that not all threads take.
func (t Target) Flags() []string {
	return []string{
		"--target=nvptx64-nvidia-cuda", "-march=" + t.Name, "-Xclang", "-target-feature", "-Xclang", "+" + t.PTX,
		"-DSM=" + t.SM, "-ffreestanding", "-fconvergent-functions", "-nogpulib", "-O3", "-Wall", "-Wextra", "-Werror", "-S",
	}
}

// Compile compiles the sources under dir/c to PTX.
func Compile(ctx context.Context, dir string, t Target) ([]byte, error) {
	// All names are relative, so that the machine's paths are not in the output.
	cmd := exec.CommandContext(ctx, Compiler, append(t.Flags(), "-o", "-", "all.c")...)
	cmd.Dir = filepath.Join(dir, "c")
	return output(cmd)
}

// Assemble makes a module's machine code from its PTX under dir, with NVIDIA's
// assembler.
func Assemble(ctx context.Context, dir, ptxas string, t Target) ([]byte, error) {
	f, err := os.CreateTemp("", t.Name+".*.cubin")
	if err != nil {
		return nil, fmt.Errorf("assemble: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("assemble: %w", err)
	}
	cmd := exec.CommandContext(ctx, ptxas, "-arch="+t.Name, "-o", f.Name(), t.File())
	cmd.Dir = dir
	if _, err := output(cmd); err != nil {
		return nil, err
	}
	return os.ReadFile(f.Name())
}

// AssemblerVersion is what the assembler says of its release.
func AssemblerVersion(ctx context.Context, ptxas string) (string, error) {
	out, err := output(exec.CommandContext(ctx, ptxas, "--version"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "release") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", fmt.Errorf("%s --version: no release in %q", ptxas, out)
}

// Version is the compiler's first line about itself.
func Version(ctx context.Context) (string, error) {
	out, err := output(exec.CommandContext(ctx, Compiler, "--version"))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}

func output(cmd *exec.Cmd) ([]byte, error) {
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd.Args[0], err, complaint.Bytes())
	}
	return out, nil
}
