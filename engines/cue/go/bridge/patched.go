package bridge

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	cueerrors "cuelang.org/go/cue/errors"
)

// along is how far a patch goes along a path of the object that it is laid over.
type along struct {
	// value is the last value of the patch on the way, base what it is laid over.
	value, base cue.Value
	// depth is how many parts of the path lead there.
	depth int
	// loose is the list that the last item on the way stands in, and looseDepth where that is, if its items have no key.
	loose      cue.Value
	looseDepth int
}

// follow goes along a path of the patched object. An item of a list with a key (row REN-012) stands at another place in the
// patch than in the object.
func (p patched) follow(path []string) along {
	at := along{value: p.patch, base: p.before}
	key := patchKey(p.patch, "")
	for _, part := range path {
		part = plain(part)
		next := child(at.value, part)
		if isItem(at.value, part) && key != "" {
			next = item(at.value, at.base, part, key)
		}
		if !isWritten(next) {
			break
		}
		if isItem(at.value, part) {
			at.loose, at.looseDepth = cue.Value{}, 0
			if key == "" {
				at.loose, at.looseDepth = at.base, at.depth
			}
		}
		at.value, at.base = next, child(at.base, part)
		at.depth++
		key = patchKey(next, key)
	}
	return at
}

// isWritten says whether a value comes from a text: one that cannot be computed is no less written.
func isWritten(value cue.Value) bool { return value.Exists() || value.Pos().IsValid() }

func isItem(value cue.Value, part string) bool {
	_, err := strconv.Atoi(part)
	return err == nil && value.IncompleteKind() == cue.ListKind
}

var patchKeyText = regexp.MustCompile(`^//\s*\+patchKey\s*=\s*(\S+)\s*$`)

// patchKey is by what the items of the lists in a field of a patch are told apart; what holds above it holds in it too.
func patchKey(field cue.Value, above string) string {
	for _, group := range field.Doc() {
		for _, comment := range group.List {
			if match := patchKeyText.FindStringSubmatch(comment.Text); match != nil {
				above = match[1]
			}
		}
	}
	return above
}

// item is the item of a patch's list that belongs to one of the object's, or that comes to stand there behind those.
func item(list, base cue.Value, part, key string) cue.Value {
	place, _ := strconv.Atoi(part)
	var names []string
	for _, one := range itemsOf(base) {
		names = append(names, nameBy(key, one))
	}
	for _, one := range itemsOf(list) {
		name := nameBy(key, one)
		at := slices.Index(names, name)
		if at < 0 {
			at, names = len(names), append(names, name)
		}
		if at == place {
			return one
		}
	}
	return cue.Value{}
}

// nameBy is what an item is told apart by.
func nameBy(key string, item cue.Value) string {
	var name strings.Builder
	for _, field := range strings.Split(key, ",") {
		name.Write(jsonOf(item.LookupPath(cue.ParsePath(field))))
		name.WriteByte(',')
	}
	return name.String()
}

func itemsOf(list cue.Value) []cue.Value {
	var items []cue.Value
	for all, err := list.List(); err == nil && all.Next(); {
		items = append(items, all.Value())
	}
	return items
}

// placesOf is where a value is written in the template: where it goes wrong, if it cannot be computed.
func (s stage) placesOf(value cue.Value) []position {
	if err := value.Validate(cue.Concrete(true)); err != nil {
		if places := s.positions(cueerrors.Errors(err)); len(places) > 0 {
			return places
		}
	}
	if place, ok := s.source.place(value.Pos()); ok && value.Pos().IsValid() {
		return []position{place}
	}
	return nil
}

// against says who set what a patch does not fit to.
func (m *made) against(step patched, path []string) string {
	value := step.before
	for _, part := range path {
		value = child(value, plain(part))
	}
	set := "what is there"
	if raw := jsonOf(value); raw != nil && len(raw) <= maxSpelledOut {
		set = string(raw)
	}
	for i := len(m.patches) - 1; i >= 0; i-- {
		if before := m.patches[i].follow(path); before.depth == len(path) {
			return m.patches[i].by.sets(set, before.value)
		}
	}
	first := m.first
	for _, part := range path {
		first = child(first, plain(part))
	}
	return m.by.sets(set, first)
}

// maxSpelledOut is how long a value may be that is repeated in a hint.
const maxSpelledOut = 60

func (s stage) sets(what string, value cue.Value) string {
	if s.definition == "" || !value.Exists() {
		return ""
	}
	kind := "component"
	if s.trait != nil {
		kind = "trait"
	}
	text := fmt.Sprintf("%s is set by the %s type `%s`", what, kind, s.definition)
	if places := s.placesOf(value); len(places) > 0 && places[0].File == s.source.file {
		text += fmt.Sprintf(" (line %d, column %d)", places[0].Line, places[0].Column)
	}
	return text
}

// advice is how a patch replaces what it does not fit to.
func (a along) advice(path []string) string {
	list, depth := a.loose, a.looseDepth
	if a.base.IncompleteKind() == cue.ListKind {
		list, depth = a.base, a.depth
	}
	items := itemsOf(list)
	if len(items) == 0 {
		return "`// +patchStrategy=retainKeys` above a field of the patch replaces what is there"
	}
	byName := ""
	if child(items[0], "name").Exists() {
		byName = "`// +patchKey=name` above the list goes by their names, "
	}
	return fmt.Sprintf("a patch goes through the items of `%s` by their place: %s`// +patchStrategy=replace` replaces the list",
		pathText(path[:depth]), byName)
}

var absentText = regexp.MustCompile(`(undefined field|cannot reference optional field): `)

// hintAbsent says what there is where a template reads what is not there. Of several places the last one reads it: those
// before are what it is needed for.
func (s stage) hintAbsent(found *diagnostic) string {
	match := absentText.FindStringSubmatch(found.Message)
	if match == nil || len(found.Positions) == 0 || s.source == nil {
		return ""
	}
	path, missing := s.readAt(found.Positions[len(found.Positions)-1])
	if missing == 0 {
		return ""
	}
	asks := fmt.Sprintf("`if %s != _|_` asks whether it is there", pathText(path[:missing+1]))
	if match[1] != "undefined field" {
		return asks
	}
	if !s.value.Exists() {
		return ""
	}
	var known []string
	fields, err := descend(s.value, path[:missing]).Fields()
	for err == nil && fields.Next() {
		known = append(known, labelOf(fields.Selector()))
	}
	if near := nearest(path[missing], known); near != "" {
		return fmt.Sprintf("did you mean `%s`?", near)
	}
	return join(didYouMean(path[missing], known), asks)
}

// readAt is what a template reads at a place, and which part of it stands there; 0 where nothing is selected.
func (s stage) readAt(at position) (path []string, part int) {
	if at.File != s.source.file {
		return nil, 0
	}
	inner := map[ast.Node]bool{}
	ast.Walk(s.source.authored(), func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok || part > 0 {
			return part == 0
		}
		names, places := selection(selector, inner)
		for i, place := range places {
			if here, ok := s.source.place(place); i > 0 && ok && here == at {
				path, part = names, i
			}
		}
		return true
	}, nil)
	return path, part
}
