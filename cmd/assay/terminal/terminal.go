// Package terminal lays text out for people: tables, colours where a terminal is, and
// texts of others made fit for one.
package terminal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"
)

// Clean is somebody else's text, fit for a terminal.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// Colour is a terminal's code.
type Colour string

// Colours.
const (
	Plain  Colour = ""
	Red    Colour = "\x1b[31m"
	Green  Colour = "\x1b[32m"
	Yellow Colour = "\x1b[33m"
)

// Table is lines with columns, each line in one colour: codes inside of it would
// count as width.
type Table struct {
	text []string
	in   []Colour
}

// Line adds a line; a tab ends a column.
func (t *Table) Line(c Colour, format string, args ...any) {
	t.text, t.in = append(t.text, fmt.Sprintf(format, args...)), append(t.in, c)
}

// Row is a line with a name.
func (t *Table) Row(c Colour, name, format string, args ...any) {
	t.Line(c, "%s\t%s", name, fmt.Sprintf(format, args...))
}

// Empty is a table without lines.
func (t *Table) Empty() bool { return len(t.text) == 0 }

// Print writes the lines, aligned.
func (t *Table) Print(out io.Writer, colours bool) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, line := range t.text {
		fmt.Fprintln(w, line)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	i := 0
	for line := range strings.Lines(b.String()) {
		if c := t.in[i]; colours && c != Plain {
			line = string(c) + strings.TrimSuffix(line, "\n") + "\x1b[m\n"
		}
		i++
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}
	return nil
}

// Coloured is whether a writer is a terminal whose owner likes colours.
func Coloured(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// Width is how many columns a text for this writer may take: a terminal's, else 100.
func Width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return max(n, 40)
		}
	}
	return 100
}

// Notes adds rows of name and text, in columns: each text is broken so that no line is
// wider than width, its later lines below the first.
func (t *Table) Notes(width int, notes ...Note) {
	column := 0
	for _, n := range notes {
		column = max(column, len(n.Name))
	}
	for _, n := range notes {
		name := n.Name
		for _, line := range broken(n.Text, width-column-2) {
			t.Row(n.Colour, name, "%s", line)
			name = ""
		}
	}
}

// Note is one of them.
type Note struct {
	Colour     Colour
	Name, Text string
}

// Indented breaks a text into lines of some width, indented by two.
func Indented(s string, width int) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	return "  " + strings.Join(broken(s, width-2), "\n  ") + "\n"
}

// broken breaks a text into lines of some width: at least one, and a word that is
// longer has a line of its own.
func broken(s string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(s) {
		switch line := &lines[len(lines)-1]; {
		case *line == "":
			*line = word
		case len(*line)+1+len(word) > width:
			lines = append(lines, word)
		default:
			*line += " " + word
		}
	}
	return lines
}
