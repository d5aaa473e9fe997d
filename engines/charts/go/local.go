package main

import (
	"os"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// pack makes an archive of a chart's folder.
func pack(folder string) ([]byte, error) {
	loaded, err := loader.LoadDir(folder)
	if err != nil {
		return nil, err
	}
	temporary, err := os.MkdirTemp("", "caravel-charts-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temporary)
	path, err := chartutil.Save(loaded, temporary)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
