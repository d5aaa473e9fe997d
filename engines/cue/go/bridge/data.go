package bridge

import (
	"strings"
	"unicode/utf8"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// readData reads the JSON at the end of a text as the syntax tree that CUE's parser makes of it, positions
// included; a test compares the two. It is for JSON on one line, as programs write it: ok is false for everything
// else, and for what CUE's parser refuses.
func readData(file *token.File, text string, from int) (expr ast.Expr, ok bool) {
	data := text[from:]
	if strings.ContainsAny(data, "\n\r\x00\uFEFF") || !utf8.ValidString(data) || hasSurrogate(data) {
		return nil, false
	}
	r := &dataReader{file: file, text: text, at: from, rel: token.Blank}
	expr, ok = r.value(0)
	r.space()
	return expr, ok && r.at == len(text)
}

// hasSurrogate finds the halves of characters that JSON may escape apart and CUE may not.
func hasSurrogate(data string) bool {
	return strings.Contains(data, `\ud`) || strings.Contains(data, `\uD`)
}

type dataReader struct {
	file *token.File
	text string
	at   int
	rel  token.RelPos
}

// space skips what stands between tokens.
func (r *dataReader) space() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\t') {
		r.at++
		r.rel = token.Blank
	}
}

// next is the byte that a token begins with; zero at the end.
func (r *dataReader) next() byte {
	r.space()
	if r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

// take consumes a token of so many bytes and gives its place.
func (r *dataReader) take(bytes int) token.Pos {
	pos := r.file.Pos(r.at, r.rel)
	r.at += bytes
	r.rel = token.NoSpace
	return pos
}

func (r *dataReader) value(depth int) (ast.Expr, bool) {
	if depth >= maxNesting {
		return nil, false
	}
	switch c := r.next(); {
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.list(depth)
	case c == '"':
		return r.literal(token.STRING, r.stringLength())
	case c == 't':
		return r.word(token.TRUE, "true")
	case c == 'f':
		return r.word(token.FALSE, "false")
	case c == 'n':
		return r.word(token.NULL, "null")
	case c == '-':
		pos := r.take(1)
		if r.at == len(r.text) || r.text[r.at] < '0' || r.text[r.at] > '9' {
			return nil, false
		}
		x, ok := r.number()
		return &ast.UnaryExpr{OpPos: pos, Op: token.SUB, X: x}, ok
	case c >= '0' && c <= '9':
		return r.number()
	}
	return nil, false
}

func (r *dataReader) literal(kind token.Token, length int) (ast.Expr, bool) {
	if length == 0 {
		return nil, false
	}
	value := r.text[r.at : r.at+length]
	return &ast.BasicLit{ValuePos: r.take(length), Kind: kind, Value: value}, true
}

func (r *dataReader) word(kind token.Token, word string) (ast.Expr, bool) {
	if !strings.HasPrefix(r.text[r.at:], word) {
		return nil, false
	}
	return r.literal(kind, len(word))
}

func (r *dataReader) number() (ast.Expr, bool) {
	kind, end := token.INT, r.at
	for end < len(r.text) && strings.IndexByte("0123456789.eE+-", r.text[end]) >= 0 {
		if strings.IndexByte(".eE", r.text[end]) >= 0 {
			kind = token.FLOAT
		}
		end++
	}
	return r.literal(kind, end-r.at)
}

// stringLength gives how long the string is that begins here, with its quotes; zero where it does not end.
func (r *dataReader) stringLength() int {
	for i := r.at + 1; i < len(r.text); i++ {
		switch r.text[i] {
		case '\\':
			i++
		case '"':
			return i + 1 - r.at
		}
	}
	return 0
}

func (r *dataReader) object(depth int) (ast.Expr, bool) {
	object := &ast.StructLit{Lbrace: r.take(1)}
	if r.next() == '}' {
		object.Rbrace = r.take(1)
		return object, true
	}
	for {
		if r.next() != '"' {
			return nil, false
		}
		label, ok := r.literal(token.STRING, r.stringLength())
		if !ok || r.next() != ':' {
			return nil, false
		}
		field := &ast.Field{Label: label.(*ast.BasicLit), TokenPos: r.take(1), Token: token.COLON}
		if field.Value, ok = r.value(depth + 1); !ok {
			return nil, false
		}
		object.Elts = append(object.Elts, field)
		switch r.next() {
		case ',':
			r.take(1)
		case '}':
			object.Rbrace = r.take(1)
			return object, true
		default:
			return nil, false
		}
	}
}

func (r *dataReader) list(depth int) (ast.Expr, bool) {
	list := &ast.ListLit{Lbrack: r.take(1)}
	if r.next() == ']' {
		list.Rbrack = r.take(1)
		return list, true
	}
	for {
		element, ok := r.value(depth + 1)
		if !ok {
			return nil, false
		}
		list.Elts = append(list.Elts, element)
		switch r.next() {
		case ',':
			r.take(1)
		case ']':
			list.Rbrack = r.take(1)
			return list, true
		default:
			return nil, false
		}
	}
}
