package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// archive packs a chart of a version.
func archive(t *testing.T, version string) []byte {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	files := tar.NewWriter(zipped)
	text := "apiVersion: v2\nname: shop\nversion: " + version + "\n"
	header := &tar.Header{Name: "shop/Chart.yaml", Mode: 0o600, Size: int64(len(text))}
	if err := files.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(files, text)
	files.Close()
	zipped.Close()
	return packed.Bytes()
}

// guarded serves an archive to whoever is let in, and counts.
type guarded struct {
	archive []byte
	lets    func(*http.Request) bool
	served  int
}

func (g *guarded) ServeHTTP(answer http.ResponseWriter, asked *http.Request) {
	if !g.lets(asked) {
		answer.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.served++
	_, _ = answer.Write(g.archive)
}

func anybody(*http.Request) bool { return true }

func fetches(source source) bool {
	_, err := source.fetch()
	return err == nil
}

func TestALoginIsWhatTheServerSees(t *testing.T) {
	basic := func(asked *http.Request) bool {
		user, password, _ := asked.BasicAuth()
		return user == "ann" && password == "sesame"
	}
	bearer := func(asked *http.Request) bool { return asked.Header.Get("Authorization") == "Bearer abc" }
	cases := []struct {
		name       string
		lets       func(*http.Request) bool
		right, bad login
	}{
		{"basic", basic, login{Username: "ann", Password: "sesame"}, login{Username: "ann"}},
		{"token", bearer, login{Token: "abc"}, login{}},
	}
	for _, one := range cases {
		server := httptest.NewServer(&guarded{archive(t, "1.0.0"), one.lets, 0})
		defer server.Close()
		if !fetches(source{Source: server.URL + "/shop.tgz", Auth: one.right}) {
			t.Errorf("%s: the right login is refused", one.name)
		}
		if fetches(source{Source: server.URL + "/shop.tgz", Auth: one.bad}) {
			t.Errorf("%s: the wrong login is let in", one.name)
		}
	}
}

func TestAServerIsTrustedByItsAuthorityOrOnDemand(t *testing.T) {
	server := httptest.NewTLSServer(&guarded{archive(t, "1.0.0"), anybody, 0})
	defer server.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	address := server.URL + "/shop.tgz"
	if fetches(source{Source: address}) {
		t.Error("an unknown authority is trusted")
	}
	if !fetches(source{Source: address, Auth: login{CA: string(authority)}}) {
		t.Error("the authority of the Secret is not trusted")
	}
	if !fetches(source{Source: address, Auth: login{Insecure: true}}) {
		t.Error("insecureSkipTLS has no effect")
	}
	if _, err := (source{Source: address, Auth: login{CA: "nonsense"}}).fetch(); err == nil || !strings.Contains(err.Error(), "is no certificate") {
		t.Errorf("%v", err)
	}
}

func TestAClientCertificateIsShown(t *testing.T) {
	hasCertificate := func(asked *http.Request) bool { return len(asked.TLS.PeerCertificates) > 0 }
	server := httptest.NewUnstartedServer(&guarded{archive(t, "1.0.0"), hasCertificate, 0})
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	cert, key := pair(t, server.TLS.Certificates[0])
	address := server.URL + "/shop.tgz"
	if !fetches(source{Source: address, Auth: login{Insecure: true, Cert: cert, Key: key}}) {
		t.Error("the client certificate is not shown")
	}
	if fetches(source{Source: address, Auth: login{Insecure: true}}) {
		t.Error("nobody is let in without")
	}
}

// registry is one of images with a chart, under the tags 1.0.0 and 1.1.0.
func registry(t *testing.T, lets func(*http.Request) bool) *httptest.Server {
	t.Helper()
	blob := archive(t, "1.1.0")
	sum := func(bytes []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(bytes)) }
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": sum(nil), "size": 0},
		"layers": []any{map[string]any{"mediaType": chartLayer, "digest": sum(blob), "size": len(blob)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(answer http.ResponseWriter, kind string, bytes []byte) {
		answer.Header().Set("Content-Type", kind)
		answer.Header().Set("Docker-Content-Digest", sum(bytes))
		answer.Header().Set("Content-Length", fmt.Sprint(len(bytes)))
		_, _ = answer.Write(bytes)
	}
	return httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, asked *http.Request) {
		switch path := asked.URL.Path; {
		case !lets(asked):
			answer.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
			answer.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(path, "/tags/list"):
			_, _ = answer.Write([]byte(`{"name":"charts/shop","tags":["1.0.0","1.1.0","2.0.0"]}`))
		case strings.HasSuffix(path, "/manifests/1.1.0"), strings.HasSuffix(path, "/manifests/"+sum(manifest)):
			serve(answer, "application/vnd.oci.image.manifest.v1+json", manifest)
		case strings.Contains(path, "/blobs/"):
			serve(answer, "application/octet-stream", blob)
		default:
			answer.WriteHeader(http.StatusNotFound)
		}
	}))
}

func TestARegistryWithoutTLSIsSpokenWithOnDemand(t *testing.T) {
	basic := func(asked *http.Request) bool {
		user, password, _ := asked.BasicAuth()
		return user == "ann" && password == "sesame"
	}
	server := registry(t, basic)
	defer server.Close()
	address := "oci://" + strings.TrimPrefix(server.URL, "http://") + "/charts/shop"
	signedIn := login{Username: "ann", Password: "sesame", PlainHTTP: true}
	for _, version := range []string{"1.1.0", "^1.0.0"} {
		if _, err := (source{Source: address, Version: version, Auth: signedIn}).fetch(); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
	if fetches(source{Source: address, Version: "1.1.0", Auth: login{PlainHTTP: true}}) {
		t.Error("nobody is let in without a login")
	}
	signedIn.PlainHTTP = false
	if fetches(source{Source: address, Version: "1.1.0", Auth: signedIn}) {
		t.Error("without insecurePlainHTTP TLS is spoken")
	}
}

// A version that may be published again is kept for a short time, any other for a long one; the rules say for how long.
func TestArchivesAreKeptAsLongAsTheRulesSay(t *testing.T) {
	const long, short, never = 23 * time.Hour, 4 * time.Minute, time.Second
	cases := []struct {
		version string
		rules   cacheRules
		kept    time.Duration
		gone    time.Duration
	}{
		{"1.0.0", cacheRules{}, long, 25 * time.Hour},
		{"v1.2", cacheRules{}, long, 25 * time.Hour},
		{"", cacheRules{}, short, 6 * time.Minute},
		{"latest", cacheRules{}, short, 6 * time.Minute},
		{"1.0.0-SNAPSHOT", cacheRules{}, short, 6 * time.Minute},
		{"1.0.0-rc.1", cacheRules{}, short, 6 * time.Minute},
		{"1.0.0-hotfix", cacheRules{}, long, 25 * time.Hour},
		{"1.0.0", cacheRules{ImmutableTTL: "1h", MutableTTL: "1m"}, 59 * time.Minute, 61 * time.Minute},
		{"", cacheRules{ImmutableTTL: "1h", MutableTTL: "1m"}, 59 * time.Second, 61 * time.Second},
		{"1.0.0", cacheRules{TTL: "10s", ImmutableTTL: "1h"}, 9 * time.Second, 11 * time.Second},
		{"1.0.0", cacheRules{TTL: "0"}, 0, never},
	}
	for _, one := range cases {
		served := &guarded{archive(t, "1.0.0"), anybody, 0}
		server := httptest.NewServer(served)
		now := time.Now()
		kept := newCache()
		kept.now = func() time.Time { return now }
		wanted := source{Source: server.URL + "/shop.tgz", Version: one.version}
		get := func(after time.Duration) int {
			kept.now = func() time.Time { return now.Add(after) }
			if _, err := kept.get(wanted, one.rules); err != nil {
				t.Fatal(err)
			}
			return served.served
		}
		get(0)
		if count := get(one.kept); one.kept > 0 && count != 1 {
			t.Errorf("%q %+v: after %s it is fetched again", one.version, one.rules, one.kept)
		}
		before := served.served
		if get(one.gone) == before {
			t.Errorf("%q %+v: after %s it is still kept", one.version, one.rules, one.gone)
		}
		server.Close()
	}
}

// What one login fetched is not given to another, and a key of one's own is a cache of one's own.
func TestArchivesAreKeptApartByLoginAndKey(t *testing.T) {
	served := &guarded{archive(t, "1.0.0"), anybody, 0}
	server := httptest.NewServer(served)
	defer server.Close()
	kept := newCache()
	wanted := source{Source: server.URL + "/shop.tgz", Version: "1.0.0"}
	other := wanted
	other.Auth = login{Username: "bob"}
	for _, one := range []struct {
		wanted source
		rules  cacheRules
		served int
	}{{wanted, cacheRules{}, 1}, {wanted, cacheRules{}, 1}, {other, cacheRules{}, 2}, {wanted, cacheRules{Key: "mine"}, 3}} {
		if _, err := kept.get(one.wanted, one.rules); err != nil {
			t.Fatal(err)
		}
		if served.served != one.served {
			t.Errorf("%+v: served %d times, expected %d", one, served.served, one.served)
		}
	}
	if _, err := kept.get(wanted, cacheRules{TTL: "soon"}); err == nil || !strings.Contains(err.Error(), "options.cache.ttl") {
		t.Errorf("%v", err)
	}
}

// pair gives a certificate and its key as the texts of a Secret.
func pair(t *testing.T, of tls.Certificate) (string, string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(of.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return text("CERTIFICATE", of.Certificate[0]), text("PRIVATE KEY", key)
}
