package main

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

// parse reads one manifest; a list becomes its items.
func parse(file, text string) ([]object, error) {
	var read object
	if err := yaml.Unmarshal([]byte(text), &read); err != nil {
		return nil, fmt.Errorf("%s: the manifest is no YAML: %w", file, err)
	}
	if len(read) == 0 {
		return nil, nil
	}
	kind, _ := read["kind"].(string)
	if version, _ := read["apiVersion"].(string); version == "" || kind == "" {
		return nil, fmt.Errorf("%s: the manifest has no apiVersion or no kind", file)
	}
	dropEmptyLists(read)
	items, isList := read["items"].([]any)
	if !isList || !strings.HasSuffix(kind, "List") {
		return []object{read}, nil
	}
	var objects []object
	for _, item := range items {
		one, isObject := item.(object)
		if !isObject {
			return nil, fmt.Errorf("%s: an item of %s is no object", file, kind)
		}
		objects = append(objects, one)
	}
	return objects, nil
}

// dropEmptyLists drops the fields of an object that are an empty list (`rules: []` of a role), as KubeVela does. Those
// further below may mean something.
func dropEmptyLists(one object) {
	for key, value := range one {
		if list, isList := value.([]any); isList && len(list) == 0 && key != "items" {
			delete(one, key)
		}
	}
}

// owned marks objects as those of a release, and puts what names no namespace into that of the release.
func (r chartRequest) owned(objects []object) []object {
	for _, one := range objects {
		metadata := child(one, "metadata")
		if _, named := metadata["namespace"]; !named && !isClusterScoped(one) {
			metadata["namespace"] = r.Release.Namespace
		}
		annotations := child(metadata, "annotations")
		annotations["app.oam.dev/owner"] = "helm-provider"
		annotations["meta.helm.sh/release-name"] = r.Release.Name
		annotations["meta.helm.sh/release-namespace"] = r.Release.Namespace
	}
	return objects
}

func child(parent object, key string) object {
	found, isObject := parent[key].(object)
	if !isObject {
		found = object{}
		parent[key] = found
	}
	return found
}

// clusterScoped lists the kinds of Kubernetes itself that live in no namespace. Of others a cluster knows more; it is
// asked when they are applied.
var clusterScoped = map[string][]string{
	"": {"ComponentStatus", "Namespace", "Node", "PersistentVolume"},
	"admissionregistration.k8s.io": {
		"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy",
		"ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
	},
	"apiextensions.k8s.io":         {"CustomResourceDefinition"},
	"apiregistration.k8s.io":       {"APIService"},
	"certificates.k8s.io":          {"CertificateSigningRequest", "ClusterTrustBundle"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"gateway.networking.k8s.io":    {"GatewayClass"},
	"networking.k8s.io":            {"IngressClass", "IPAddress", "ServiceCIDR"},
	"node.k8s.io":                  {"RuntimeClass"},
	"policy":                       {"PodSecurityPolicy"},
	"rbac.authorization.k8s.io":    {"ClusterRole", "ClusterRoleBinding"},
	"resource.k8s.io":              {"DeviceClass", "ResourceSlice"},
	"scheduling.k8s.io":            {"PriorityClass"},
	"snapshot.storage.k8s.io":      {"VolumeSnapshotClass", "VolumeSnapshotContent"},
	"storage.k8s.io":               {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"},
}

func isClusterScoped(one object) bool {
	version, _ := one["apiVersion"].(string)
	group, _, hasGroup := strings.Cut(version, "/")
	if !hasGroup {
		group = ""
	}
	for _, kind := range clusterScoped[group] {
		if one["kind"] == kind {
			return true
		}
	}
	return false
}
