package bridge

import (
	"fmt"
	"strings"
)

// checkNesting refuses a text that opens too many brackets at once: CUE's parser is recursive, and a Go
// stack that overflows kills the process. Strings and comments are skipped, so that brackets in them
// neither hide nor make depth; interpolations count, because the parser recurses into them.
func checkNesting(text string) error {
	scan := nestingScan{text: text}
	for scan.at < len(text) {
		scan.step()
		if len(scan.open) > maxNesting {
			line := 1 + strings.Count(text[:scan.at], "\n")
			return &limitError{fmt.Sprintf("brackets are nested more than %d deep (line %d)", maxNesting, line)}
		}
	}
	return nil
}

// nestingScan walks over CUE text. open holds, for each bracket that is open, the string that goes on
// behind it where the bracket is that of an interpolation.
type nestingScan struct {
	text string
	at   int
	open []quoting
}

// quoting describes a string literal: its closing quotes and the escape that begins an interpolation.
type quoting struct{ end, interpolation string }

func (s *nestingScan) step() {
	rest := s.text[s.at:]
	switch rest[0] {
	case '{', '[', '(':
		s.open = append(s.open, quoting{})
		s.at++
	case '}', ']', ')':
		s.at++
		if len(s.open) == 0 {
			return
		}
		inside := s.open[len(s.open)-1]
		s.open = s.open[:len(s.open)-1]
		if inside.end != "" {
			s.skipString(inside)
		}
	case '/':
		if strings.HasPrefix(rest, "//") {
			s.skipPast("\n")
			return
		}
		s.at++
	case '"', '\'', '#':
		if literal, length, ok := opensString(rest); ok {
			s.at += length
			s.skipString(literal)
			return
		}
		s.at++
	default:
		s.at++
	}
}

// opensString says whether a string literal begins here, and how long its opening is.
func opensString(rest string) (quoting, int, bool) {
	hashes := len(rest) - len(strings.TrimLeft(rest, "#"))
	body := rest[hashes:]
	if body == "" || (body[0] != '"' && body[0] != '\'') {
		return quoting{}, 0, false
	}
	quote := body[:1]
	if strings.HasPrefix(body, strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	mark := strings.Repeat("#", hashes)
	return quoting{end: quote + mark, interpolation: `\` + mark}, hashes + len(quote), true
}

// skipString goes to the end of a string, or into its next interpolation.
func (s *nestingScan) skipString(literal quoting) {
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch {
		case strings.HasPrefix(rest, literal.interpolation+"("):
			s.at += len(literal.interpolation) + 1
			s.open = append(s.open, literal)
			return
		case strings.HasPrefix(rest, literal.interpolation):
			// An escape: what follows it does not end the string.
			s.at += len(literal.interpolation) + 1
		case strings.HasPrefix(rest, literal.end):
			s.at += len(literal.end)
			return
		default:
			s.at++
		}
	}
}

func (s *nestingScan) skipPast(mark string) {
	index := strings.Index(s.text[s.at:], mark)
	if index < 0 {
		s.at = len(s.text)
		return
	}
	s.at += index + len(mark)
}
