package bridge

import (
	"fmt"
	"io/fs"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/parser"

	"caravel.dev/cuebridge/packages"
)

// packageSet is what templates of one kind may import as "vela/<name>".
type packageSet struct {
	folder string
}

var (
	componentPackages = &packageSet{folder: "component"}
	workflowPackages  = &packageSet{folder: "workflow"}
	noPackages        *packageSet
)

const importPrefix = "vela/"

// importedBy gives the instances that the file imports, and what they import in turn. They are parsed
// anew for each request, because an instance must not be shared between contexts; only what is imported
// is parsed. An unknown path is left to CUE, which names it in its error.
func (p *packageSet) importedBy(file *ast.File) ([]*build.Instance, error) {
	if p == nil {
		return nil, nil
	}
	found := map[string]bool{}
	var instances []*build.Instance
	queue := []*ast.File{file}
	for len(queue) > 0 {
		imports := queue[0].Imports
		queue = queue[1:]
		for _, spec := range imports {
			path := strings.Trim(spec.Path.Value, `"`)
			name, internal := strings.CutPrefix(path, importPrefix)
			if !internal || found[name] {
				continue
			}
			found[name] = true
			parsed, err := p.load(name)
			if err != nil {
				return nil, err
			}
			if parsed == nil {
				continue
			}
			instance := &build.Instance{PkgName: name, ImportPath: path}
			if err := instance.AddSyntax(parsed); err != nil {
				return nil, err
			}
			instances = append(instances, instance)
			queue = append(queue, parsed)
		}
	}
	return instances, nil
}

// load parses a package; nil where the set has none of that name.
func (p *packageSet) load(name string) (*ast.File, error) {
	if strings.ContainsAny(name, "/:") {
		return nil, nil
	}
	text, err := fs.ReadFile(packages.Files, p.folder+"/"+name+".cue")
	if err != nil {
		return nil, nil
	}
	file, err := parser.ParseFile(importPrefix+name, text)
	if err != nil {
		return nil, fmt.Errorf("the built-in package %s%s does not parse: %w", importPrefix, name, err)
	}
	return file, nil
}
