package bridge

import (
	"bytes"
	"encoding/json"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
	cuejson "cuelang.org/go/encoding/json"
)

// source is a template with the data that is appended to it as text, exactly as KubeVela does, so that
// duplicate fields, aliases and the order of declarations mean the same (row REN-004). The template comes
// first: its line numbers are those of the author.
type source struct {
	file string
	// author is the text without what is appended.
	author   string
	text     strings.Builder
	lines    int
	sections []section
	// head is how long the text is that comes before the data.
	head int
	// rewritten says what had to be changed for today's CUE.
	rewritten []rewrite
	// mayCall says that there can be calls in it: looking for them is a fifth of a render.
	mayCall bool
	// own is the author's text, once it was read alone.
	own *ast.File
	// packages are those that it was built with.
	packages *packageSet
}

// section is an appended part that begins on a line of its own.
type section struct {
	// name is empty for text that nobody wrote.
	name string
	// start and end are where its text is in the whole.
	start, end int
	firstLine  int
	// indent is what stands before the data on the first line.
	indent int
}

// newSource begins a source with the author's text; name is what positions call it.
func newSource(name, text string) *source {
	s := &source{file: name, author: text}
	s.write(text)
	s.head = s.text.Len()
	return s
}

func (s *source) write(text string) {
	s.text.WriteString(text)
	s.lines += strings.Count(text, "\n")
}

// appendText adds text that belongs to nobody, for instance `context: _`. It comes before all data.
func (s *source) appendText(text string) {
	s.write("\n")
	s.sections = append(s.sections, section{firstLine: s.lines + 1})
	s.write(text)
	s.head = s.text.Len()
}

// appendData adds `name: data` on lines of its own.
func (s *source) appendData(name string, data []byte) {
	s.write("\n")
	label := name + ": "
	start := s.text.Len() + len(label)
	s.sections = append(s.sections, section{
		name: name, start: start, end: start + len(data), firstLine: s.lines + 1, indent: len(label),
	})
	s.write(label)
	s.write(string(data))
}

// place translates a position of CUE into one of a part; ok is false in text that nobody wrote.
func (s *source) place(pos token.Pos) (place position, ok bool) {
	place = position{File: pos.Filename(), Line: pos.Line(), Column: pos.Column()}
	if s == nil || place.File != s.file {
		return place, true
	}
	return s.locate(place.Line, place.Column)
}

// locate translates a place in the whole text into one of a part, whose columns are letters; ok is false in text that
// nobody wrote.
func (s *source) locate(line, column int) (position, bool) {
	column = letters(s.text.String(), line, column)
	for i := len(s.sections) - 1; i >= 0; i-- {
		part := s.sections[i]
		if line < part.firstLine {
			continue
		}
		if part.name == "" {
			return position{}, false
		}
		if line == part.firstLine {
			column = max(1, column-part.indent)
		}
		return position{File: part.name, Line: line - part.firstLine + 1, Column: column}, true
	}
	return position{File: s.file, Line: line, Column: column}, true
}

// letters translates a column that counts bytes, as those of CUE do.
func letters(text string, line, column int) int {
	for ; line > 1; line-- {
		_, after, ok := strings.Cut(text, "\n")
		if !ok {
			return column
		}
		text = after
	}
	before := min(column-1, len(text))
	if before < 0 {
		return column
	}
	return utf8.RuneCountInString(text[:before]) + column - before
}

// authored reads the author's text alone, once; nothing where it is no CUE.
func (s *source) authored() *ast.File {
	if s.own == nil {
		file, err := parser.ParseFile(s.file, s.author, parser.ParseComments)
		if err != nil {
			file = &ast.File{}
		}
		s.own = file
	}
	return s.own
}

// parse reads the whole text.
func (s *source) parse() (*ast.File, error) {
	text := s.text.String()
	if err := checkNesting(text); err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(s.file, text, parser.ParseComments)
	if err == nil {
		liftComments(file)
		return file, nil
	}
	// What is appended may hide where the author's own mistake is.
	if _, own := parser.ParseFile(s.file, s.author); own != nil {
		return nil, &syntaxError{text: err.Error(), own: own}
	}
	return nil, &syntaxError{text: err.Error(), own: err}
}

// syntaxError has KubeVela's text, which is about the whole, and the errors of the author's part.
type syntaxError struct {
	text string
	own  error
}

func (e *syntaxError) Error() string { return e.text }

func (e *syntaxError) Unwrap() error { return e.own }

// build compiles the text with the packages of the given set. Errors in the text are returned; errors of
// evaluation are in the value.
func (s *source) build(packages *packageSet) (cue.Value, error) {
	s.packages = packages
	if value, ok := s.buildKnown(packages); ok {
		return value, nil
	}
	file, err := s.parse()
	if err != nil {
		return cue.Value{}, err
	}
	s.rewritten = s.modernise(file)
	imports, err := packages.importedBy(file)
	if err != nil {
		return cue.Value{}, err
	}
	s.mayCall = len(imports) > 0 || strings.Contains(s.author, "#do")
	return buildFile(file, imports)
}

// modernise rewrites the author's part of the parsed text for today's CUE. The data has no say in it, so
// that a template is rewritten the same way whatever it is given.
func (s *source) modernise(file *ast.File) []rewrite {
	own := len(file.Decls)
	if len(s.sections) > 0 {
		for own > 0 && file.Decls[own-1].Pos().Line() >= s.sections[0].firstLine {
			own--
		}
	}
	author := &ast.File{Filename: file.Filename, Decls: file.Decls[:own:own], Imports: file.Imports, Unresolved: file.Unresolved}
	made := modernise(author, s.author)
	if len(made) > 0 {
		file.Decls = append(author.Decls, file.Decls[own:]...)
		file.Imports = author.Imports
		unresolve(file)
	}
	return made
}

func buildFile(file *ast.File, imports []*build.Instance) (cue.Value, error) {
	return buildFiles([]*ast.File{file}, imports)
}

// buildFiles compiles files that know each other's names.
func buildFiles(files []*ast.File, imports []*build.Instance) (cue.Value, error) {
	instance := build.NewContext().NewInstance("", nil)
	instance.Imports = imports
	for _, file := range files {
		if err := instance.AddSyntax(file); err != nil {
			return cue.Value{}, err
		}
	}
	return newContext().BuildInstance(instance), nil
}

// isNull says whether JSON is absent or null.
func isNull(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

// orEmpty gives the JSON, or an empty object where there is none.
func orEmpty(raw json.RawMessage) json.RawMessage {
	if isNull(raw) {
		return json.RawMessage("{}")
	}
	return raw
}

// text writes the object as JSON with sorted keys.
func (o jsonObject) text() []byte {
	keys := make([]string, 0, len(o))
	for key := range o {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var buffer bytes.Buffer
	buffer.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			buffer.WriteByte(',')
		}
		buffer.WriteString(strconv.Quote(key))
		buffer.WriteByte(':')
		buffer.Write(o[key])
	}
	buffer.WriteByte('}')
	return buffer.Bytes()
}

// with gives a copy that has one more entry.
func (o jsonObject) with(key string, value json.RawMessage) jsonObject {
	copied := make(jsonObject, len(o)+1)
	for k, v := range o {
		copied[k] = v
	}
	copied[key] = value
	return copied
}

// valueOf makes a CUE value of JSON: numbers stay int or float as they are written.
func valueOf(ctx *cue.Context, name string, raw json.RawMessage) (cue.Value, error) {
	expr, err := cuejson.Extract(name, raw)
	if err != nil {
		return cue.Value{}, &badRequestError{name + ": " + err.Error()}
	}
	return ctx.BuildExpr(expr), nil
}
