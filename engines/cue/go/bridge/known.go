package bridge

import (
	"container/list"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// Reading a template costs as much as evaluating it, and the same templates come again and again. What is
// kept of one is its syntax tree, not its value: each request builds the tree in a context of its own, with its
// own data in the place of the data before, so that it means exactly what the text means, and so that no
// context grows. A tree belongs to the lane and is built by one request at a time.

// known is a text that was read once and is built many times.
type known struct {
	file *ast.File
	// slots are the fields at the end, whose values are the data of the request.
	slots []*ast.Field
	// lines are the offsets of the lines up to the first slot.
	lines []int
	// unresolved are the names that the text does not explain; building it looks for them.
	unresolved []*ast.Ident
	// embedded are those declarations whose comments building moves about.
	embedded  []embedding
	rewritten []rewrite
	mayCall   bool
}

// embedding remembers the comments of an embedded value.
type embedding struct {
	decl        *ast.EmbedDecl
	ofDecl, ofX []*ast.CommentGroup
}

// knownKey identifies a text: what it says, where positions say that it is, and by whom it is evaluated.
type knownKey struct {
	evaluator   cuecontext.EvalVersion
	file, text  string
	slots, kind string
}

// defaultKnown is how many bytes of text are remembered; the trees are about twenty times as large.
const defaultKnown = 512 << 10

// knownTexts are the texts of the lane, the one that was used last in front.
var knownTexts = knownCache{limit: defaultKnown}

type knownCache struct {
	limit, size int
	entries     map[knownKey]*list.Element
	order       list.List
}

type knownEntry struct {
	key   knownKey
	known *known
}

// RememberTemplates bounds how many bytes of templates are remembered, and forgets all that are. With zero,
// every request reads its templates anew; that changes nothing but the time.
func RememberTemplates(bytes int) {
	lane.Lock()
	defer lane.Unlock()
	knownTexts = knownCache{limit: bytes}
}

func (c *knownCache) get(key knownKey) (*known, bool) {
	element, ok := c.entries[key]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*knownEntry).known, true
}

// put remembers a text; nil stands for one that has to be read each time.
func (c *knownCache) put(key knownKey, text *known) {
	size := len(key.file) + len(key.text)
	if size > c.limit {
		return
	}
	if c.entries == nil {
		c.entries = map[knownKey]*list.Element{}
	}
	// The text may be part of a longer one, which would be kept with it.
	key.text = strings.Clone(key.text)
	c.entries[key] = c.order.PushFront(&knownEntry{key, text})
	c.size += size
	for c.size > c.limit {
		oldest := c.order.Remove(c.order.Back()).(*knownEntry)
		delete(c.entries, oldest.key)
		c.size -= len(oldest.key.file) + len(oldest.key.text)
	}
}

// buildKnown builds a text that was read before, or is read now to be remembered. It is not for texts with
// mistakes: ok is false where there is anything to be said about the text itself.
func (s *source) buildKnown(packages *packageSet) (value cue.Value, ok bool) {
	if knownTexts.limit == 0 {
		return value, false
	}
	text := s.known()
	if text == nil {
		return value, false
	}
	if !s.fill(text) {
		return value, false
	}
	imports, err := packages.importedBy(text.file)
	if err != nil {
		return value, false
	}
	s.rewritten = text.rewritten
	s.mayCall = len(imports) > 0 || text.mayCall
	instance := build.NewContext().NewInstance("", nil)
	instance.Imports = imports
	text.addTo(instance)
	return newContext().BuildInstance(instance), true
}

// known finds the text among those that are remembered, or reads it; nil where it cannot be remembered.
func (s *source) known() *known {
	var slots []string
	for _, part := range s.sections {
		if part.name != "" {
			slots = append(slots, part.name)
		}
	}
	key := knownKey{current, s.file, s.text.String()[:s.head], strings.Join(slots, ","), "template"}
	if text, ok := knownTexts.get(key); ok {
		return text
	}
	text := s.read(slots)
	knownTexts.put(key, text)
	return text
}

// read parses the text with empty data in the slots.
func (s *source) read(slots []string) *known {
	var text strings.Builder
	text.WriteString(s.text.String()[:s.head])
	for _, name := range slots {
		text.WriteString("\n" + name + ": {}")
	}
	if checkNesting(text.String()) != nil {
		return nil
	}
	file, err := parser.ParseFile(s.file, text.String(), parser.ParseComments)
	if err != nil {
		return nil
	}
	liftComments(file)
	rewritten := s.modernise(file)
	if len(rewritten) > 0 && !resolves(file) {
		return nil
	}
	result := newKnown(file)
	result.lines = lineOffsets(s.text.String()[:s.head])
	result.rewritten = rewritten
	result.mayCall = strings.Contains(s.author, "#do")
	if !result.findSlots(slots) {
		return nil
	}
	return result
}

// resolves looks up the names of a file; false where some of them cannot mean anything.
func resolves(file *ast.File) bool {
	fine := true
	astutil.Resolve(file, func(token.Pos, string, ...any) { fine = false })
	return fine
}

func newKnown(file *ast.File) *known {
	result := &known{file: file, unresolved: append([]*ast.Ident(nil), file.Unresolved...)}
	ast.Walk(file, func(node ast.Node) bool {
		if decl, ok := node.(*ast.EmbedDecl); ok {
			ofDecl, ofX := ast.Comments(decl), ast.Comments(decl.Expr)
			if len(ofDecl)+len(ofX) > 0 {
				result.embedded = append(result.embedded, embedding{decl, ofDecl, ofX})
			}
		}
		return true
	}, nil)
	return result
}

// findSlots finds the fields for the data; false where the text before swallowed one of them.
func (k *known) findSlots(names []string) bool {
	first := len(k.file.Decls) - len(names)
	if first < 0 {
		return false
	}
	for i, name := range names {
		field, ok := k.file.Decls[first+i].(*ast.Field)
		if !ok {
			return false
		}
		label, ok := field.Label.(*ast.Ident)
		value, empty := field.Value.(*ast.StructLit)
		if !ok || !empty || label.Name != name || len(value.Elts) > 0 {
			return false
		}
		k.slots = append(k.slots, field)
	}
	return true
}

// fill puts the data of a request into the slots, at the positions that it has in the whole text: CUE sorts by
// them. It is false where the data is not as simple as data is.
func (s *source) fill(text *known) bool {
	whole := s.text.String()
	file := token.NewFile(s.file, -1, len(whole)+1)
	lines := append(make([]int, 0, len(text.lines)+len(text.slots)), text.lines...)
	slot := 0
	for _, part := range s.sections {
		if part.name != "" {
			lines = append(lines, part.start-part.indent)
		}
	}
	if !file.SetLines(lines) {
		return false
	}
	for _, part := range s.sections {
		if part.name == "" {
			continue
		}
		expr, ok := readData(file, whole[:part.end], part.start)
		if !ok {
			return false
		}
		field := text.slots[slot]
		label := field.Label.(*ast.Ident)
		label.NamePos = file.Pos(part.start-part.indent, label.NamePos.RelPos())
		field.TokenPos = file.Pos(part.start-len(": "), field.TokenPos.RelPos())
		field.Value = expr
		slot++
	}
	return true
}

// lineOffsets gives where the lines of a text begin.
func lineOffsets(text string) []int {
	lines := []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			lines = append(lines, i+1)
		}
	}
	return lines
}

// addTo makes the text a file of an instance, as if it had just been read.
func (k *known) addTo(instance *build.Instance) {
	for _, ident := range k.unresolved {
		ident.Node, ident.Scope = nil, nil
	}
	k.file.Unresolved = append([]*ast.Ident(nil), k.unresolved...)
	for _, embedded := range k.embedded {
		ast.SetComments(embedded.decl, append([]*ast.CommentGroup(nil), embedded.ofDecl...))
		ast.SetComments(embedded.decl.Expr, append([]*ast.CommentGroup(nil), embedded.ofX...))
	}
	if name := k.file.PackageName(); name != "" && name != "_" && instance.PkgName == "" {
		instance.PkgName = name
	}
	instance.Files = append(instance.Files, k.file)
}

// knownPackage reads a built-in package.
func knownPackage(path, text string) (*known, error) {
	key := knownKey{current, path, text, "", "package"}
	if found, ok := knownTexts.get(key); ok {
		return found, nil
	}
	file, err := parser.ParseFile(path, text)
	if err != nil {
		return nil, err
	}
	result := newKnown(file)
	knownTexts.put(key, result)
	return result, nil
}
