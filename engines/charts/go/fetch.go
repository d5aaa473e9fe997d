package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
)

const (
	// patience is how long fetching may take altogether.
	patience = 60 * time.Second
	// largestChart bounds an archive, largestIndex the index of a repository.
	largestChart = 32 << 20
	largestIndex = 64 << 20
)

type source struct {
	Source  string `json:"source"`
	RepoURL string `json:"repoUrl"`
	Version string `json:"version"`
	// Local allows a path of this machine as source.
	Local bool  `json:"local"`
	Auth  login `json:"auth"`
}

type login struct {
	Username  string `json:"username"`
	Password  string `json:"password"`
	Token     string `json:"token"`
	CA        string `json:"ca"`
	Cert      string `json:"cert"`
	Key       string `json:"key"`
	Insecure  bool   `json:"insecureSkipTls"`
	PlainHTTP bool   `json:"insecurePlainHttp"`
}

// wanted is the version as Helm reads it: nothing means the newest.
func (s source) wanted() string {
	if s.Version == "latest" {
		return ""
	}
	return s.Version
}

// isFixed tells whether the version is one, and no range or branch.
func (s source) isFixed() bool {
	_, err := semver.NewVersion(s.wanted())
	return err == nil
}

// stages are parts of versions that are published again and again until the version is done.
var stages = []string{"snapshot", "dev", "alpha", "beta", "rc"}

// isMutable tells whether what is fetched now may be something else tomorrow.
func (s source) isMutable() bool {
	version, err := semver.NewVersion(s.wanted())
	if err != nil {
		return true
	}
	stage := strings.ToLower(version.Prerelease())
	return slices.ContainsFunc(stages, func(one string) bool { return strings.Contains(stage, one) })
}

func isArchiveAddress(text string) bool {
	return strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
}

// fetch gets the archive of a chart.
func (s source) fetch() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := s.Auth.client()
	if err != nil {
		return nil, err
	}
	switch {
	case s.Source == "":
		return nil, errors.New("chart.source is missing")
	case strings.HasPrefix(s.Source, "oci://"):
		return s.fetchOCI(ctx, client)
	case isArchiveAddress(s.Source):
		return s.download(ctx, client, s.Source, largestChart, true)
	case s.RepoURL != "" && strings.HasPrefix(s.RepoURL, "oci://"):
		nested := s
		nested.Source, nested.RepoURL = strings.TrimSuffix(s.RepoURL, "/")+"/"+s.Source, ""
		return nested.fetchOCI(ctx, client)
	case s.RepoURL != "":
		return s.fetchFromRepository(ctx, client)
	case s.Local:
		return readLocal(s.Source)
	default:
		return nil, fmt.Errorf("%q is no address of a chart: expected oci://…, https://….tgz, or the name of a chart with repoURL", s.Source)
	}
}

func (s source) fetchFromRepository(ctx context.Context, client *http.Client) ([]byte, error) {
	base := strings.TrimSuffix(s.RepoURL, "/")
	public := shown(base)
	text, err := s.download(ctx, client, base+"/index.yaml", largestIndex, true)
	if err != nil {
		return nil, fmt.Errorf("the index of repository %s: %w", public, err)
	}
	var index index
	if err := yaml.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("the index of repository %s is no YAML: %w", public, err)
	}
	found, err := index.find(s.Source, s.wanted())
	if err != nil {
		return nil, fmt.Errorf("version %q of chart %s not found in repository %s: %w", s.wanted(), s.Source, public, err)
	}
	if len(found.URLs) == 0 {
		return nil, fmt.Errorf("chart %s %s has no address in repository %s", s.Source, found.Version, public)
	}
	address, own, err := resolve(base, found.URLs[0])
	if err != nil {
		return nil, err
	}
	archive, err := s.download(ctx, client, address, largestChart, own)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(archive)
	if found.Digest != "" && !strings.EqualFold(strings.TrimPrefix(found.Digest, "sha256:"), hex.EncodeToString(sum[:])) {
		return nil, fmt.Errorf("%s is not what the index of the repository promises: its digest differs", shown(address))
	}
	return archive, nil
}

// resolve gives the address of an archive, and whether it is on the repository's own host: only that gets the login.
func resolve(base, reference string) (string, bool, error) {
	root, err := url.Parse(base + "/")
	if err != nil {
		return "", false, fmt.Errorf("repoURL: %w", failed(base, err))
	}
	address, err := root.Parse(reference)
	if err != nil {
		return "", false, fmt.Errorf("the address of the chart: %w", failed(reference, err))
	}
	return address.String(), address.Scheme == root.Scheme && address.Host == root.Host, nil
}

type index struct {
	Entries map[string][]indexEntry `yaml:"entries"`
}

type indexEntry struct {
	Version string   `yaml:"version"`
	URLs    []string `yaml:"urls"`
	Digest  string   `yaml:"digest"`
}

func (i index) find(name, wanted string) (*indexEntry, error) {
	entries, known := i.Entries[name]
	if !known {
		return nil, errors.New("no chart name found")
	}
	versions := make([]string, len(entries))
	for at, entry := range entries {
		versions[at] = entry.Version
	}
	chosen, err := choose(versions, wanted)
	if err != nil {
		return nil, err
	}
	if chosen < 0 {
		return nil, fmt.Errorf("no chart version found for %s-%s", name, wanted)
	}
	return &entries[chosen], nil
}

// choose gives the place of the version that is wanted: that very one, else the newest in its range; -1 where there is
// none.
func choose(versions []string, wanted string) (int, error) {
	for at, version := range versions {
		if wanted != "" && version == wanted {
			return at, nil
		}
	}
	pattern := wanted
	if pattern == "" {
		pattern = "*"
	}
	constraint, err := semver.NewConstraint(pattern)
	if err != nil {
		return -1, fmt.Errorf("%q is no version and no range of versions: %w", wanted, err)
	}
	type candidate struct {
		at      int
		version *semver.Version
	}
	var fitting []candidate
	for at, text := range versions {
		version, err := semver.NewVersion(text)
		if err == nil && constraint.Check(version) {
			fitting = append(fitting, candidate{at, version})
		}
	}
	if len(fitting) == 0 {
		return -1, nil
	}
	sort.SliceStable(fitting, func(a, b int) bool { return fitting[a].version.GreaterThan(fitting[b].version) })
	return fitting[0].at, nil
}

// userAgent is what repositories and registries see.
func userAgent() string { return cmp.Or(os.Getenv("CARAVEL_USER_AGENT"), "caravel") }

// shown is an address without what may be secret in it.
func shown(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "the address"
	}
	parsed.User, parsed.RawQuery, parsed.Fragment = nil, "", ""
	return parsed.String()
}

// failed says what went wrong with an address, without the address in the error itself.
func failed(address string, err error) error {
	var wrong *url.Error
	if errors.As(err, &wrong) {
		err = wrong.Err
	}
	return fmt.Errorf("%s: %w", shown(address), err)
}

func (s source) download(ctx context.Context, client *http.Client, address string, largest int64, withLogin bool) ([]byte, error) {
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, failed(address, err)
	}
	asked.Header.Set("User-Agent", userAgent())
	if withLogin {
		s.Auth.sign(asked)
	}
	answer, err := client.Do(asked)
	if err != nil {
		return nil, failed(address, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers with %s", shown(address), answer.Status)
	}
	return readBounded(answer.Body, largest, shown(address))
}

func readBounded(from io.Reader, largest int64, what string) ([]byte, error) {
	bytes, err := io.ReadAll(io.LimitReader(from, largest+1))
	if err == nil && int64(len(bytes)) > largest {
		err = fmt.Errorf("%s is larger than %d MiB", what, largest>>20)
	}
	return bytes, err
}

func readLocal(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return pack(path)
	}
	return readBounded(file, largestChart, path)
}

func (l login) sign(asked *http.Request) {
	switch {
	case l.Token != "":
		asked.Header.Set("Authorization", "Bearer "+l.Token)
	case l.Username != "" || l.Password != "":
		asked.SetBasicAuth(l.Username, l.Password)
	}
}

// client speaks with repositories and registries under the login's rules of trust.
func (l login) client() (*http.Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: l.Insecure}
	if l.CA != "" {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM([]byte(l.CA)) {
			return nil, errors.New("the certificate authority of the chart's Secret is no certificate")
		}
	}
	if l.Cert != "" || l.Key != "" {
		pair, err := tls.X509KeyPair([]byte(l.Cert), []byte(l.Key))
		if err != nil {
			return nil, fmt.Errorf("the client certificate of the chart's Secret: %w", err)
		}
		trust.Certificates = []tls.Certificate{pair}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	return &http.Client{Transport: transport}, nil
}
