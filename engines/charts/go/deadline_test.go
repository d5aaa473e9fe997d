package main

import (
	"errors"
	"testing"
	"time"
)

func TestTemplatesThatDoNotEndAreGivenUp(t *testing.T) {
	begin := time.Now()
	_, err := within(100*time.Millisecond, func() (*rendered, error) {
		return chartRequest{}.renderChart(shopWith("  a: '{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}'"))
	})
	if took := time.Since(begin); !errors.Is(err, errEndless) || took > 2*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
}

func TestAPanicOfTemplatesIsAnError(t *testing.T) {
	_, err := within(time.Second, func() (*rendered, error) { panic("boom") })
	if err == nil || errors.Is(err, errEndless) {
		t.Errorf("%v", err)
	}
}
