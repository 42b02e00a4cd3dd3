// Package syntax reads the text of PTX: directives, declarations, and instructions
// with their operands resolved to registers, but not what an instruction means.
package syntax

import "fmt"

// Error is an error of the text, with its line.
func Error(line int, format string, args ...any) error {
	return fmt.Errorf("ptx: line %d: %s", line, fmt.Sprintf(format, args...))
}
