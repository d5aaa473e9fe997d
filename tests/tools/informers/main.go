// Command informers proves that client-go's shared informers, unmodified, follow Caravel's API server.
//
// It syncs informers on Applications (dynamic client) and ConfigMaps (typed client), prints "synced", then
// one line of JSON for every event that the handlers see, until standard input ends. The test that drives
// it makes changes with another client and checks that every one of them is seen, in order per object.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// event is one line of output.
type event struct {
	Type            string `json:"type"`
	Kind            string `json:"kind"`
	Namespace       string `json:"namespace"`
	Name            string `json:"name"`
	ResourceVersion string `json:"resourceVersion"`
	// Mark is the annotation or datum that the test counts up, so that a lost change shows.
	Mark string `json:"mark"`
}

var applications = schema.GroupVersionResource{Group: "core.oam.dev", Version: "v1beta1", Resource: "applications"}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path of the kubeconfig")
	syncWithin := flag.Duration("sync-within", 30*time.Second, "how long the first list may take")
	flag.Parse()
	if err := run(*kubeconfig, *syncWithin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig string, syncWithin time.Duration) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("typed client: %w", err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("dynamic client: %w", err)
	}

	out := &lines{encoder: json.NewEncoder(os.Stdout)}
	core := informers.NewSharedInformerFactory(typed, 0)
	configMaps := core.Core().V1().ConfigMaps().Informer()
	custom := dynamicinformer.NewDynamicSharedInformerFactory(untyped, 0)
	apps := custom.ForResource(applications).Informer()
	for kind, informer := range map[string]cache.SharedIndexInformer{"ConfigMap": configMaps, "Application": apps} {
		if _, err := informer.AddEventHandler(out.handler(kind)); err != nil {
			return fmt.Errorf("handler for %s: %w", kind, err)
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	core.Start(ctx.Done())
	custom.Start(ctx.Done())
	limit, stop := context.WithTimeout(ctx, syncWithin)
	defer stop()
	if !cache.WaitForCacheSync(limit.Done(), configMaps.HasSynced, apps.HasSynced) {
		return fmt.Errorf("informers did not sync within %s", syncWithin)
	}
	out.print("synced")

	// The driving test closes standard input when it has seen enough.
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// lines writes one JSON value per line; handlers of two informers run concurrently.
type lines struct {
	mutex   sync.Mutex
	encoder *json.Encoder
}

func (l *lines) print(value any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err := l.encoder.Encode(value); err != nil {
		fmt.Fprintln(os.Stderr, "standard output:", err)
		os.Exit(1)
	}
}

func (l *lines) handler(kind string) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { l.print(describe("ADDED", kind, object)) },
		UpdateFunc: func(_, object any) { l.print(describe("MODIFIED", kind, object)) },
		DeleteFunc: func(object any) { l.print(describe("DELETED", kind, object)) },
	}
}

func describe(what, kind string, object any) event {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		what, object = what+"(missed)", gone.Obj
	}
	switch o := object.(type) {
	case *corev1.ConfigMap:
		return event{what, kind, o.Namespace, o.Name, o.ResourceVersion, o.Data["mark"]}
	case *unstructured.Unstructured:
		return event{what, kind, o.GetNamespace(), o.GetName(), o.GetResourceVersion(), o.GetAnnotations()["mark"]}
	default:
		return event{Type: what, Kind: fmt.Sprintf("%T", object)}
	}
}
