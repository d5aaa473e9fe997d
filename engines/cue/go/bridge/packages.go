package bridge

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"

	"caravel.dev/cuebridge/packages"
)

// packageSet is what templates of one kind may import: "vela/<name>", and what the request brings along.
type packageSet struct {
	folder   string
	external []userPackage
}

var (
	componentPackages = &packageSet{folder: "component"}
	workflowPackages  = &packageSet{folder: "workflow"}
	noPackages        *packageSet
)

const importPrefix = "vela/"

// with gives the set with the packages of a request (row PRV-045).
func (p *packageSet) with(external []userPackage) *packageSet {
	if len(external) == 0 {
		return p
	}
	return &packageSet{folder: p.folder, external: external}
}

// importedBy gives the instances that the file imports, and what they import in turn. They are new for
// each request, because an instance must not be shared between contexts. A path that nobody knows is an error: CUE
// would tell of whatever is missing then.
func (p *packageSet) importedBy(file *ast.File) ([]*build.Instance, error) {
	if p == nil {
		return nil, nil
	}
	found := map[string]bool{}
	var unknown cueerrors.Error
	var instances []*build.Instance
	queue := []*ast.File{file}
	for len(queue) > 0 {
		imports := queue[0].Imports
		queue = queue[1:]
		for _, spec := range imports {
			wanted := strings.Trim(spec.Path.Value, `"`)
			if found[wanted] {
				continue
			}
			found[wanted] = true
			instance, err := p.load(wanted)
			if err != nil {
				return nil, err
			}
			if instance != nil {
				instances = append(instances, instance)
				queue = append(queue, instance.Files...)
			} else if !isStandard(wanted) {
				// CUE's own words, both of them.
				undefined := cueerrors.Newf(spec.Pos(), "builtin package %q undefined", wanted)
				unknown = cueerrors.Append(cueerrors.Append(unknown, undefined), cueerrors.Newf(spec.Pos(), "package %q not found", wanted))
			}
		}
	}
	if unknown != nil {
		return nil, &missingPackages{unknown}
	}
	return instances, nil
}

// missingPackages says what is imported and not there.
type missingPackages struct{ err cueerrors.Error }

func (e *missingPackages) Error() string { return e.err.Error() }

func (e *missingPackages) Unwrap() error { return e.err }

// standard are packages of CUE that were imported before.
var standard = map[string]bool{}

// isStandard says whether CUE has a package itself; it is asked, because it has no list of them.
func isStandard(path string) bool {
	if !standard[path] {
		file := &ast.File{}
		spec := ast.NewImport(ast.NewIdent("_p"), path)
		file.Imports = []*ast.ImportSpec{spec}
		file.Decls = []ast.Decl{
			&ast.ImportDecl{Specs: file.Imports},
			&ast.Field{Label: ast.NewIdent("_x"), Value: &ast.Ident{Name: "_p", Node: spec}},
		}
		if newContext().BuildFile(file).Err() != nil {
			return false
		}
		standard[path] = true
	}
	return true
}

// load makes the instance of a package; nil where the set has no such package.
func (p *packageSet) load(wanted string) (*build.Instance, error) {
	instance := &build.Instance{PkgName: path.Base(wanted), ImportPath: wanted}
	if text, ok := p.builtIn(wanted); ok {
		known, err := knownPackage(wanted, text)
		if err != nil {
			return nil, fmt.Errorf("the built-in package %s does not parse: %w", wanted, err)
		}
		known.addTo(instance)
		return instance, nil
	}
	for i := range p.external {
		if p.external[i].Path != wanted {
			continue
		}
		files, err := p.external[i].parse()
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if err := instance.AddSyntax(file); err != nil {
				return nil, err
			}
		}
		return instance, nil
	}
	return nil, nil
}

// builtIn gives the text of a package of Caravel itself.
func (p *packageSet) builtIn(wanted string) (string, bool) {
	name, internal := strings.CutPrefix(wanted, importPrefix)
	if !internal || strings.ContainsAny(name, "/:") {
		return "", false
	}
	text, err := fs.ReadFile(packages.Files, p.folder+"/"+name+".cue")
	return string(text), err == nil
}

// parse reads the files in the order of their names.
func (p *userPackage) parse() ([]*ast.File, error) {
	var files []*ast.File
	for _, name := range sortedKeys(p.Files) {
		text := p.Files[name]
		if err := checkNesting(text); err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(p.Path+"/"+name, text, parser.ParseComments)
		if err != nil {
			return nil, &syntaxError{text: err.Error(), own: err}
		}
		files = append(files, file)
	}
	return files, nil
}

// endpointOf says where the calls of a provider go; nil for the providers of Caravel, which a package
// cannot take over by its name.
func (p *packageSet) endpointOf(provider string) *endpoint {
	if p == nil {
		return nil
	}
	if _, own := p.builtIn(importPrefix + provider); own {
		return nil
	}
	for i := range p.external {
		if p.external[i].Name == provider {
			return p.external[i].Endpoint
		}
	}
	return nil
}
