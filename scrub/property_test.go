package scrub_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// TestRandomDamage damages random objects of random storages. After one repair, nothing wrong is served,
// and content whose objects were not touched is served as before. After a second one, and a push of
// everything, the storage is whole.
func TestRandomDamage(t *testing.T) {
	seeds := 150
	if *full {
		seeds = 1000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 7))
			d := memory.New(nil)
			g := newGraph(t, d, r)
			touched := map[string]bool{}
			all := keys(t, d, "")
			for range 1 + r.IntN(4) {
				g.damage(t, r, all, touched)
			}
			first := scrubbed(t, g.store, d, repairing)
			checkServed(t, g.store, g.contents)
			g.checkUntouched(t, touched)
			scrubbed(t, g.store, d, repairing) // restores tags, or quarantines what the first run has made visible
			last := scrubbed(t, g.store, d, repairing)
			for _, f := range last.Findings { // a blob that may have been deleted on purpose is reported each time
				require.Contains(t, f.Found, "deleted", "%+v after %+v", f, first.Findings)
			}
			checkServed(t, g.store, g.contents)
			g.checkUntouched(t, touched)
			g.push(t)
			g.push(t) // an index may have come before a child that a delete had taken
			last = scrubbed(t, g.store, d, repairing)
			require.True(t, last.Whole(), "%+v", *last)
			checkServed(t, g.store, g.contents)
		})
	}
}

// graph is a random storage.
type graph struct {
	driver   driver.Driver
	store    *storage.Store
	contents map[digest.Digest][]byte
	images   []graphImage
}

// graphImage is a manifest in a repository.
type graphImage struct {
	repo, mediaType string
	content         []byte
	blobs           []digest.Digest
	tags            []string
}

// newGraph pushes random images, indexes and referrers to a few repositories that share blobs.
func newGraph(t *testing.T, d driver.Driver, r *rand.Rand) *graph {
	g := &graph{driver: d, store: newStore(t, d, nil), contents: map[digest.Digest][]byte{}}
	var blobs [][]byte
	for i := range 5 {
		b := random(uint64(i), []int{2, 100, 17_000, 40_000, 20_001}[i])
		blobs = append(blobs, b)
		g.contents[digest.FromBytes(b)] = b
	}
	byRepo := map[string][]ocispec.Descriptor{}
	for n := range 3 + r.IntN(5) {
		repo := fmt.Sprint("team/r", r.IntN(3))
		m := graphImage{repo: repo, mediaType: ocispec.MediaTypeImageManifest}
		there := byRepo[repo]
		if r.IntN(4) == 0 && len(there) > 0 {
			m.mediaType = ocispec.MediaTypeImageIndex
			m.content = index(there[r.IntN(len(there)):]...)
		} else {
			var descs []ocispec.Descriptor
			for _, i := range r.Perm(5)[:1+r.IntN(4)] {
				desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(blobs[i]),
					Size: int64(len(blobs[i]))}
				descs = append(descs, desc)
				m.blobs = append(m.blobs, desc.Digest)
			}
			var subject *ocispec.Descriptor
			if r.IntN(3) == 0 && len(there) > 0 {
				subject = &there[r.IntN(len(there))]
			}
			m.content = image(fmt.Sprint(n), subject, descs...)
		}
		for _, tag := range []string{"a", "b", "c"} {
			if r.IntN(2) == 0 {
				m.tags = append(m.tags, fmt.Sprint(tag, n))
			}
		}
		desc := ocispec.Descriptor{MediaType: m.mediaType, Digest: digest.FromBytes(m.content), Size: int64(len(m.content))}
		g.contents[desc.Digest] = m.content
		g.images = append(g.images, m)
		byRepo[repo] = append(there, desc)
	}
	g.push(t)
	return g
}

// push pushes everything, as clients do that ask first.
func (g *graph) push(t *testing.T) {
	t.Helper()
	for _, m := range g.images {
		for _, d := range m.blobs {
			if _, err := g.store.StatBlob(t.Context(), m.repo, d, nil); errors.Is(err, registry.ErrBlobUnknown) {
				pushBlob(t, g.store, m.repo, g.contents[d])
			} else {
				require.NoError(t, err)
			}
		}
		put(t, g.store, m.repo, m.mediaType, m.content, m.tags...)
	}
}

// damage damages a random object.
func (g *graph) damage(t *testing.T, r *rand.Rand, all []string, touched map[string]bool) {
	key := all[r.IntN(len(all))]
	for !strings.Contains("rbcd", key[:1]) || touched[key] {
		key = all[r.IntN(len(all))]
	}
	touched[key] = true
	b := load(t, g.driver, key)
	switch n := r.IntN(5); {
	case n == 0 || len(b) == 0:
		remove(t, g.driver, key)
	case n == 1:
		store(t, g.driver, key, b[:r.IntN(len(b))])
	case n == 2:
		other := all[r.IntN(len(all))]
		if strings.HasPrefix(other, key[:2]) {
			touched[other] = true
			store(t, g.driver, key, load(t, g.driver, other))
			store(t, g.driver, other, b)
			return
		}
		fallthrough
	default:
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		store(t, g.driver, key, b)
	}
}

// checkUntouched checks that content is served whose objects were not damaged, nor those of what it names.
func (g *graph) checkUntouched(t *testing.T, touched map[string]bool) {
	t.Helper()
	for key := range touched {
		if strings.HasPrefix(key, "data/") {
			return // a blob may have been in it; checkServed looks at the bytes
		}
	}
	for _, m := range g.images {
		prefix := "r/" + strings.ReplaceAll(m.repo, "/", ".~") + "/"
		d := digest.FromBytes(m.content)
		if !touched[prefix+"m/"+pathOf(d)] {
			got, err := g.store.GetManifest(t.Context(), m.repo, byDigest(d))
			require.NoError(t, err)
			require.True(t, bytes.Equal(m.content, got.Content))
			for _, tag := range m.tags {
				if touched[prefix+"t/"+tag] {
					continue
				}
				got, err := g.store.GetManifest(t.Context(), m.repo, byTag(tag))
				require.NoError(t, err)
				require.Equal(t, d, got.Descriptor.Digest)
			}
		}
		for _, b := range m.blobs {
			if !touched[prefix+"b/"+pathOf(b)] {
				_, err := readBlob(t.Context(), g.store, m.repo, b)
				require.NoError(t, err)
			}
		}
	}
}
