package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

const (
	// largestCache bounds what all kept archives have together.
	largestCache = 128 << 20
	// mutableTTL is how long a version that may become another one is kept, immutableTTL any other.
	mutableTTL   = 5 * time.Minute
	immutableTTL = 24 * time.Hour
)

// cacheRules are durations as Go writes them.
type cacheRules struct {
	Key          string `json:"key"`
	TTL          string `json:"ttl"`
	ImmutableTTL string `json:"immutableTTL"`
	MutableTTL   string `json:"mutableTTL"`
}

// cache keeps fetched archives, because a component is rendered many times while it becomes healthy.
type cache struct {
	archives map[string]kept
	size     int
	now      func() time.Time
}

type kept struct {
	archive []byte
	until   time.Time
}

func newCache() *cache { return &cache{archives: map[string]kept{}, now: time.Now} }

// get gives the archive of a chart, fetched or kept. What is kept for one login is not given to another.
func (c *cache) get(wanted source, rules cacheRules) ([]byte, error) {
	ttl, err := rules.ttl(wanted.isMutable())
	if err != nil {
		return nil, err
	}
	c.forgetOld()
	key, err := keyOf(wanted, rules)
	if err != nil {
		return nil, err
	}
	if found, known := c.archives[key]; known && ttl > 0 {
		return found.archive, nil
	}
	archive, err := wanted.fetch()
	if err != nil {
		return nil, err
	}
	if ttl > 0 && !wanted.Local {
		c.keep(key, kept{archive, c.now().Add(ttl)})
	}
	return archive, nil
}

func (c *cache) keep(key string, one kept) {
	c.forget(key)
	for c.size+len(one.archive) > largestCache && len(c.archives) > 0 {
		c.forget(c.nextToGo())
	}
	c.archives[key] = one
	c.size += len(one.archive)
}

func (c *cache) nextToGo() string {
	var next string
	for key, one := range c.archives {
		if next == "" || one.until.Before(c.archives[next].until) {
			next = key
		}
	}
	return next
}

func (c *cache) forgetOld() {
	for key, one := range c.archives {
		if !c.now().Before(one.until) {
			c.forget(key)
		}
	}
}

func (c *cache) forget(key string) {
	c.size -= len(c.archives[key].archive)
	delete(c.archives, key)
}

func keyOf(wanted source, rules cacheRules) (string, error) {
	text, err := json.Marshal([]any{wanted, rules.Key})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(text)), nil
}

func (r cacheRules) ttl(mutable bool) (time.Duration, error) {
	text, otherwise, name := r.ImmutableTTL, immutableTTL, "immutableTTL"
	if mutable {
		text, otherwise, name = r.MutableTTL, mutableTTL, "mutableTTL"
	}
	if r.TTL != "" {
		text, name = r.TTL, "ttl"
	}
	if text == "" {
		return otherwise, nil
	}
	ttl, err := time.ParseDuration(text)
	if text == "0" {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("options.cache.%s: %q is no duration: expected for instance 24h or 5m", name, text)
	}
	return ttl, nil
}
