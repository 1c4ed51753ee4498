package registry

import (
	"net/http"

	"github.com/opencontainers/go-digest"
)

// cacheControl is sent with everything that can be read. A cache may keep a copy, but must ask the
// registry before each use. The caller of that time is then authorised, and deleted content is
// gone. Content never changes, so the response is a 304. A host can let caches respond by
// themselves, in a handler around this one.
const cacheControl = "no-cache"

// headerValues is the memory for the values of the headers of one response. Without it, each header
// is an allocation.
type headerValues struct {
	values [10]string
	n      int
}

// set sets a header. The key must be canonical (see [http.CanonicalHeaderKey]). A header that a
// handler around the registry extends gets a slice of its own, because the slices here have no
// spare capacity.
func (v *headerValues) set(h http.Header, key, value string) {
	if v.n == len(v.values) {
		h[key] = []string{value}
		return
	}
	v.values[v.n] = value
	v.n++
	h[key] = v.values[v.n-1 : v.n : v.n]
}

// etag returns the strong entity tag of a digest.
func etag(d digest.Digest) string { return `"` + string(d) + `"` }

// setContentHeaders sets the headers that GET and HEAD share.
func (c *call) setContentHeaders(mediaType string, d digest.Digest) {
	c.w.set("Content-Type", mediaType)
	c.w.set("Docker-Content-Digest", string(d))
	c.w.set("Etag", etag(d))
	c.w.set("Cache-Control", cacheControl)
}
