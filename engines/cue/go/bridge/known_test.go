package bridge

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/literal"
)

// randomJSON makes JSON as programs write it.
func randomJSON(random *rand.Rand, depth int) any {
	texts := []string{"", "a", "ünï", "with \"quotes\"", "\\(x)", "back\\slash", "\t\x1b\u2028<&>", "null", "__x", "1", "日本"}
	switch n := random.Intn(10); {
	case n < 3 && depth > 0:
		object := map[string]any{}
		for range random.Intn(5) {
			object[texts[random.Intn(len(texts))]] = randomJSON(random, depth-1)
		}
		return object
	case n < 5 && depth > 0:
		list := []any{}
		for range random.Intn(5) {
			list = append(list, randomJSON(random, depth-1))
		}
		return list
	case n < 7:
		numbers := []json.Number{"0", "-1", "1.0", "-0.5", "1e9", "1E+3", "2.5e-3", "12345678901234567890", "0e1"}
		return numbers[random.Intn(len(numbers))]
	case n < 8:
		return []any{nil, true, false}[random.Intn(3)]
	}
	return texts[random.Intn(len(texts))]
}

// dump writes a tree with everything that CUE may look at.
func dump(node ast.Node) string {
	var out strings.Builder
	ast.Walk(node, func(n ast.Node) bool {
		place := func(node ast.Node) string {
			return fmt.Sprintf("%v %d %v", node.Pos(), node.Pos().Offset(), node.Pos().RelPos())
		}
		fmt.Fprintf(&out, "%T %s", n, place(n))
		switch x := n.(type) {
		case *ast.BasicLit:
			fmt.Fprintf(&out, " %v %s", x.Kind, x.Value)
		case *ast.Ident:
			fmt.Fprintf(&out, " %s %T", x.Name, x.Scope)
		case *ast.Field:
			fmt.Fprintf(&out, " %v %d %v %v %v", x.TokenPos, x.TokenPos.Offset(), x.TokenPos.RelPos(), x.Token, x.Optional)
		case *ast.StructLit:
			fmt.Fprintf(&out, " %v %d %v %d", x.Rbrace, x.Rbrace.Offset(), x.Rbrace.RelPos(), len(x.Elts))
		case *ast.ListLit:
			fmt.Fprintf(&out, " %v %d %v %d", x.Rbrack, x.Rbrack.Offset(), x.Rbrack.RelPos(), len(x.Elts))
		case *ast.UnaryExpr:
			fmt.Fprintf(&out, " %v", x.Op)
		}
		for _, group := range ast.Comments(n) {
			fmt.Fprintf(&out, " %q", group.Text())
		}
		out.WriteByte('\n')
		return true
	}, nil)
	return out.String()
}

func TestDataIsReadAsCueReadsIt(t *testing.T) {
	random := rand.New(rand.NewSource(7))
	templates := []string{"", "a: parameter.x", "a: 1\n// about the parameter", "parameter: {x: int}\n\n", "import \"strings\"\n{a: strings.Join}\n"}
	for range 3000 {
		src := newSource("template.cue", templates[random.Intn(len(templates))])
		if random.Intn(2) == 0 {
			src.appendText("context: _\nparameter: _\n")
		}
		for _, name := range []string{"parameter", "context"} {
			raw, err := marshal(randomJSON(random, 4))
			if err != nil {
				t.Fatal(err)
			}
			src.appendData(name, raw)
		}
		text := src.read([]string{"parameter", "context"})
		if text == nil || !src.fill(text) {
			t.Fatalf("not read: %s", src.text.String())
		}
		file, err := src.parse()
		if err != nil {
			t.Fatal(err)
		}
		if expected, found := dump(file), dump(text.file); expected != found {
			t.Fatalf("%s\nparsed\n%s\nfilled\n%s", src.text.String(), expected, found)
		}
	}
}

func TestDataThatIsNotSimpleIsLeftToCue(t *testing.T) {
	for _, data := range []string{
		"{\n}", `"\ud83d\ude00"`, "\"\ufeff\"", "\"\xff\"", `{"a":1,}`, `[1 2]`, `{a:1}`, `"open`, `-`, `tru`, `{} {}`, ``,
		strings.Repeat("[", maxNesting+1) + strings.Repeat("]", maxNesting+1),
	} {
		src := newSource("template.cue", "a: 1")
		src.appendData("parameter", []byte(data))
		if text := src.read([]string{"parameter"}); text == nil || src.fill(text) {
			t.Errorf("%s was read", data)
		}
	}
}

func TestTemplatesThatSwallowTheDataAreReadAnew(t *testing.T) {
	for _, template := range []string{"x:", "x: {", "x: y &", "let parameter = 1", "/*"} {
		src := newSource("template.cue", template)
		if src.read([]string{"parameter"}) != nil {
			t.Errorf("%q was remembered", template)
		}
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	defer RememberTemplates(defaultKnown)
	RememberTemplates(1000)
	if err := useEvaluator("v2"); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		src := newSource("template.cue", "a: "+literal.String.Quote(strings.Repeat("x", i)))
		src.appendData("parameter", []byte("{}"))
		if value, err := src.build(noPackages); err != nil || value.Err() != nil {
			t.Fatal(err, value.Err())
		}
		if knownTexts.size > 1000 || knownTexts.order.Len() != len(knownTexts.entries) {
			t.Fatalf("%d bytes in %d entries", knownTexts.size, len(knownTexts.entries))
		}
	}
	if len(knownTexts.entries) < 2 {
		t.Fatal("nothing is remembered")
	}
}
