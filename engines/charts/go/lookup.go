package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"
)

// lookup is what a template looks up: one object, or without a name all of a namespace or of the cluster.
type lookup struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
}

// found is what came of a lookup: an object or a list, neither where there is none, or why it could not be read.
type found struct {
	lookup
	Object json.RawMessage `json:"object"`
	Error  string          `json:"error"`
}

// needs says what has to be looked up before the chart can be rendered.
type needs struct{ lookups []lookup }

func (n *needs) Error() string {
	return fmt.Sprintf("%d lookups are open", len(n.lookups))
}

// cluster is what templates see of one. It asks nobody: what was not given with the request is noted, and counts as
// absent until the caller has read it and asks again.
type cluster struct {
	known  map[lookup]found
	wanted []lookup
}

func newCluster(given []found) *cluster {
	seen := &cluster{known: map[lookup]found{}}
	for _, one := range given {
		seen.known[one.lookup] = one
	}
	return seen
}

// GetClientFor makes Helm's engine look up here. Whether a kind has namespaces the caller knows, not we.
func (c *cluster) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	return kindClient{cluster: c, of: lookup{APIVersion: apiVersion, Kind: kind}}, true, nil
}

// answer gives the content of what is looked up, none where it is absent.
func (c *cluster) answer(wanted lookup) (map[string]any, error) {
	one, isKnown := c.known[wanted]
	if !isKnown {
		c.known[wanted] = found{}
		c.wanted = append(c.wanted, wanted)
	}
	if one.Error != "" {
		return nil, errors.New(one.Error)
	}
	var content map[string]any
	if len(one.Object) > 0 {
		// Whole numbers stay whole, as Kubernetes' own clients read them.
		if err := utiljson.Unmarshal(one.Object, &content); err != nil {
			return nil, err
		}
	}
	if content == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: wanted.Kind}, wanted.Name)
	}
	return content, nil
}

// kindClient gives objects of a kind. Helm's engine does nothing but get and list.
type kindClient struct {
	dynamic.NamespaceableResourceInterface
	cluster *cluster
	of      lookup
}

func (k kindClient) Namespace(namespace string) dynamic.ResourceInterface {
	k.of.Namespace = namespace
	return k
}

func (k kindClient) Get(_ context.Context, name string, _ metav1.GetOptions, _ ...string) (*unstructured.Unstructured, error) {
	k.of.Name = name
	content, err := k.cluster.answer(k.of)
	if err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: content}, nil
}

func (k kindClient) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	content, err := k.cluster.answer(k.of)
	if err != nil {
		return nil, err
	}
	list := &unstructured.UnstructuredList{}
	list.SetUnstructuredContent(content)
	return list, nil
}
