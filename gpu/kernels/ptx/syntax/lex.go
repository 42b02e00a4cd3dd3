package syntax

import "strings"

// token is a word (an opcode with its modifiers, a name, a number, a directive),
// a string in quotes, or one character of punctuation.
type token struct {
	text string
	line int
}

// lex splits the text, comments left out, and ends it with an empty token.
func lex(src string) ([]token, error) {
	var out []token
	line := 1
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case strings.HasPrefix(src[i:], "//"):
			for i < len(src) && src[i] != '\n' {
				i++
			}
		case strings.HasPrefix(src[i:], "/*"):
			end := strings.Index(src[i+2:], "*/")
			if end < 0 {
				return nil, Error(line, "comment without an end")
			}
			line += strings.Count(src[i:i+2+end], "\n")
			i += end + 4
		case c == '"':
			end := strings.IndexAny(src[i+1:], "\"\n")
			if end < 0 || src[i+1+end] != '"' {
				return nil, Error(line, "string without an end")
			}
			out = append(out, token{src[i : i+end+2], line})
			i += end + 2
		case wordByte(c):
			j := i
			for j < len(src) {
				if wordByte(src[j]) {
					j++
				} else if strings.HasPrefix(src[j:], "::") && j+2 < len(src) && wordByte(src[j+2]) {
					j += 2
				} else {
					break
				}
			}
			out = append(out, token{src[i:j], line})
			i = j
		case strings.IndexByte("{}()[]<>,;:=+-!@|", c) >= 0:
			out = append(out, token{src[i : i+1], line})
			i++
		default:
			return nil, Error(line, "character %q", c)
		}
	}
	return append(out, token{"", line}), nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '%' || c == '.'
}
