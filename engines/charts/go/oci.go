package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Media types of the layer that holds a chart's archive.
const (
	chartLayer       = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	legacyChartLayer = "application/tar+gzip"
)

// largestManifest bounds an image manifest: the distribution specification has registries take at least as much.
const largestManifest = 4 << 20

func (s source) fetchOCI(ctx context.Context, client *http.Client) ([]byte, error) {
	address := strings.TrimPrefix(s.Source, "oci://")
	repository, err := remote.NewRepository(address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Source, err)
	}
	repository.PlainHTTP = s.Auth.PlainHTTP
	registry := &auth.Client{Client: client, Cache: auth.NewCache()}
	registry.SetUserAgent(userAgent())
	registry.Credential = auth.StaticCredential(repository.Reference.Host(), auth.Credential{
		Username: s.Auth.Username, Password: s.Auth.Password, AccessToken: s.Auth.Token,
	})
	repository.Client = registry
	tag, err := s.tag(ctx, repository)
	if err != nil {
		return nil, err
	}
	found, err := repository.Resolve(ctx, tag)
	if err != nil {
		return nil, fmt.Errorf("%s:%s: %w", s.Source, tag, err)
	}
	if found.Size > largestManifest {
		return nil, fmt.Errorf("%s:%s: the manifest is larger than %d MiB", s.Source, tag, largestManifest>>20)
	}
	text, err := content.FetchAll(ctx, repository, found)
	if err != nil {
		return nil, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return nil, fmt.Errorf("%s:%s: the manifest is no JSON: %w", s.Source, tag, err)
	}
	for _, layer := range manifest.Layers {
		if layer.MediaType != chartLayer && layer.MediaType != legacyChartLayer {
			continue
		}
		if layer.Size > largestChart {
			return nil, fmt.Errorf("%s:%s is larger than %d MiB", s.Source, tag, largestChart>>20)
		}
		return content.FetchAll(ctx, repository, layer)
	}
	return nil, fmt.Errorf("%s:%s is no chart: it has no layer of type %s", s.Source, tag, chartLayer)
}

// tag gives the tag to fetch: what the address says, a version as it stands, or the newest in a range. A registry has
// `_` where a version has `+`.
func (s source) tag(ctx context.Context, repository *remote.Repository) (string, error) {
	wanted := s.wanted()
	if wanted == "" && repository.Reference.Reference != "" {
		return repository.Reference.Reference, nil
	}
	if s.isFixed() {
		return strings.ReplaceAll(wanted, "+", "_"), nil
	}
	var tags []string
	err := repository.Tags(ctx, "", func(page []string) error {
		for _, tag := range page {
			tags = append(tags, strings.ReplaceAll(tag, "_", "+"))
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("the tags of %s: %w", s.Source, err)
	}
	chosen, err := choose(tags, wanted)
	if err != nil {
		return "", err
	}
	if chosen < 0 {
		return "", fmt.Errorf("%s has no version %q", s.Source, wanted)
	}
	return strings.ReplaceAll(tags[chosen], "+", "_"), nil
}
