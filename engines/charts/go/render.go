package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// The types of this file mirror caravel_core::charts, which documents each field.

type chartRequest struct {
	Chart       source         `json:"chart"`
	Release     releaseName    `json:"release"`
	Values      map[string]any `json:"values"`
	KubeVersion string         `json:"kubeVersion"`
	APIVersions []string       `json:"apiVersions"`
	IncludeCRDs bool           `json:"includeCrds"`
	Lookups     []found        `json:"lookups"`
	Cache       cacheRules     `json:"cache"`
}

type releaseName struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type rendered struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Resources []object `json:"resources"`
	Hooks     []hook   `json:"hooks"`
	CRDs      []object `json:"crds"`
	Notes     string   `json:"notes"`
}

type hook struct {
	Events []release.HookEvent `json:"events"`
	Weight int                 `json:"weight"`
	Object object              `json:"object"`
}

func (r chartRequest) render(kept *cache) (*rendered, error) {
	archive, err := kept.get(r.Chart, r.Cache)
	if err != nil {
		return nil, fmt.Errorf("failed to fetch chart: %w", err)
	}
	// Rendering changes a chart: each time it is read anew.
	loaded, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("failed to load chart: %w", err)
	}
	result, err := within(renderDeadline(), func() (*rendered, error) { return r.renderChart(loaded) })
	if errors.Is(err, errEndless) {
		return nil, fmt.Errorf("chart %s %s was stopped after %s: its templates %w", loaded.Name(), loaded.Metadata.Version, renderDeadline(), err)
	}
	if open := (*needs)(nil); errors.As(err, &open) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("failed to dry-run render chart: dry-run render failed for chart %s: %w", loaded.Name(), err)
	}
	return result, nil
}

func (r chartRequest) renderChart(loaded *chart.Chart) (*rendered, error) {
	crds, err := r.crds(loaded)
	if err != nil {
		return nil, err
	}
	capabilities, err := r.capabilities(crds)
	if err != nil {
		return nil, err
	}
	if err := installable(loaded, capabilities); err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependenciesWithMerge(loaded, r.Values); err != nil {
		return nil, err
	}
	options := chartutil.ReleaseOptions{
		Name: r.Release.Name, Namespace: r.Release.Namespace, Revision: 1, IsInstall: true,
	}
	values, err := chartutil.ToRenderValues(loaded, r.Values, options, capabilities)
	if err != nil {
		return nil, err
	}
	seen := newCluster(r.Lookups)
	files, err := engine.RenderWithClientProvider(loaded, values, seen)
	if len(seen.wanted) > 0 {
		return nil, &needs{seen.wanted}
	}
	if err != nil {
		return nil, err
	}
	result := &rendered{Name: loaded.Name(), Version: loaded.Metadata.Version, Resources: []object{}, Hooks: []hook{}, CRDs: crds}
	result.Notes = takeNotes(loaded, files)
	hooks, manifests, err := releaseutil.SortManifests(files, capabilities.APIVersions, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	for _, manifest := range manifests {
		objects, err := parse(manifest.Name, manifest.Content)
		if err != nil {
			return nil, err
		}
		result.Resources = append(result.Resources, r.owned(objects)...)
	}
	result.Hooks, err = r.hooks(loaded, hooks)
	return result, err
}

// capabilities are those of the cluster, with the chart's own kinds, which are made before its objects; without a cluster
// they are Helm's own.
func (r chartRequest) capabilities(crds []object) (*chartutil.Capabilities, error) {
	capabilities := chartutil.DefaultCapabilities.Copy()
	if r.KubeVersion != "" {
		version, err := chartutil.ParseKubeVersion(r.KubeVersion)
		if err != nil {
			return nil, fmt.Errorf("the cluster's version %q: %w", r.KubeVersion, err)
		}
		capabilities.KubeVersion = *version
	}
	if len(r.APIVersions) == 0 {
		return capabilities, nil
	}
	own, err := kindsOf(crds)
	if err != nil {
		return nil, err
	}
	capabilities.APIVersions = append(r.APIVersions, own...)
	return capabilities, nil
}

// kindsOf gives what the crds folder of a chart makes a cluster serve.
func kindsOf(crds []object) ([]string, error) {
	var served []string
	for _, one := range crds {
		var crd struct {
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Served bool
				}
			}
		}
		text, err := json.Marshal(one)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &crd); err != nil {
			return nil, fmt.Errorf("a definition of the crds folder: %w", err)
		}
		for _, version := range crd.Spec.Versions {
			if version.Served {
				group := crd.Spec.Group + "/" + version.Name
				served = append(served, group, group+"/"+crd.Spec.Names.Kind)
			}
		}
	}
	return served, nil
}

// crds gives what the crds folder of a chart holds; a file may have several.
func (r chartRequest) crds(loaded *chart.Chart) ([]object, error) {
	all := []object{}
	if !r.IncludeCRDs {
		return all, nil
	}
	for _, file := range loaded.CRDObjects() {
		documents := releaseutil.SplitManifests(string(file.File.Data))
		names := make([]string, 0, len(documents))
		for name := range documents {
			names = append(names, name)
		}
		sort.Sort(releaseutil.BySplitManifestsOrder(names))
		for _, name := range names {
			objects, err := parse(file.Filename, documents[name])
			if err != nil {
				return nil, err
			}
			all = append(all, objects...)
		}
	}
	return all, nil
}

// installable refuses what `helm install` refuses before it renders.
func installable(loaded *chart.Chart, capabilities *chartutil.Capabilities) error {
	metadata := loaded.Metadata
	if metadata.Type != "" && metadata.Type != "application" {
		return fmt.Errorf("%s charts are not installable", metadata.Type)
	}
	version := capabilities.KubeVersion.Version
	if metadata.KubeVersion != "" && !chartutil.IsCompatibleRange(metadata.KubeVersion, version) {
		return fmt.Errorf("chart requires kubeVersion: %s which is incompatible with Kubernetes %s", metadata.KubeVersion, version)
	}
	var missing []string
	for _, wanted := range metadata.Dependencies {
		found := false
		for _, packed := range loaded.Dependencies() {
			found = found || packed.Name() == wanted.Name
		}
		if !found {
			missing = append(missing, wanted.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("found in Chart.yaml, but missing in charts/ directory: %s", strings.Join(missing, ", "))
	}
	return nil
}

// takeNotes removes what is no manifest. The notes of the chart itself are kept, those of its dependencies are not.
func takeNotes(loaded *chart.Chart, files map[string]string) string {
	notes := ""
	for name, text := range files {
		if !strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		if name == path.Join(loaded.Name(), "templates", "NOTES.txt") {
			notes = text
		}
		delete(files, name)
	}
	return notes
}

// hooks gives all, by weight; which are delivered is the caller's to say. What runs to an end is named after the release's
// content: whatever changes it makes it run anew, and the delivery collects the one before.
func (r chartRequest) hooks(loaded *chart.Chart, all []*release.Hook) ([]hook, error) {
	wanted := []hook{}
	content, err := json.Marshal([]any{loaded.Metadata.Version, r.Values})
	if err != nil {
		return nil, err
	}
	suffix := fmt.Sprintf("-%x", sha256.Sum256(content))[:9]
	for _, one := range all {
		objects, err := parse(one.Path, one.Manifest)
		if err != nil {
			return nil, err
		}
		for _, object := range r.owned(objects) {
			if object["kind"] == "Job" || object["kind"] == "Pod" {
				metadata := child(object, "metadata")
				name, _ := metadata["name"].(string)
				metadata["name"] = name[:min(len(name), 63-len(suffix))] + suffix
			}
			wanted = append(wanted, hook{one.Events, one.Weight, object})
		}
	}
	sort.SliceStable(wanted, func(a, b int) bool { return wanted[a].Weight < wanted[b].Weight })
	return wanted, nil
}
