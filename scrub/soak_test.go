package scrub_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// full makes tests try every step, and more seeds.
var full = flag.Bool("full", false, "try everything: takes minutes")

// soak is how long TestRunFindsNothingBesideClients runs on each driver.
var soak = flag.Duration("soak", 5*time.Second, "duration of TestRunFindsNothingBesideClients")

// TestRunFindsNothingBesideClients scrubs a storage while clients push, move tags, mount and delete, and
// collections remove what is unreferenced at once. Nothing is damaged, so nothing may be found.
//
// Objects are judged that are older than Settle, so no step of a client may take longer than that.
// Nobody deletes a blob that a manifest names: that would be found, as it should.
func TestRunFindsNothingBesideClients(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		w := &soakers{t: t, replicas: []*storage.Store{
			newStore(t, d, &storage.Options{Grace: time.Second, History: time.Second}),
			newStore(t, d, &storage.Options{Grace: time.Second, History: time.Second}),
		}}
		ctx, cancel := context.WithTimeout(t.Context(), *soak)
		var wg sync.WaitGroup
		defer func() { cancel(); wg.Wait() }() // also after a failure: the clients report to t
		for i := range 4 {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			wg.Go(func() {
				for ctx.Err() == nil {
					w.change(t.Context(), w.replicas[i%2], r)
				}
			})
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				_, err := w.replicas[0].ExpireHistory(t.Context())
				if err == nil {
					_, err = w.replicas[0].Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
				}
				w.check("collecting", err)
			}
		})
		runs := 0
		for ctx.Err() == nil || runs == 0 {
			r, err := scrub.Run(t.Context(), w.replicas[1], d, &scrub.Options{
				Repair: runs%2 == 0, Settle: max(2*time.Second, *soak/6),
			})
			require.NoError(t, err)
			require.Empty(t, slices.DeleteFunc(r.Findings, isPassing))
			require.Zero(t, r.Lost)
			runs++
		}
		wg.Wait()
		_, err := w.replicas[0].Collect(t.Context(), &storage.CollectOptions{Grace: -1})
		require.NoError(t, err)
		r := scrubbed(t, w.replicas[0], d, repairing)
		t.Logf("%d runs; at the end %d manifests, %d tags, %d blobs", runs, r.Manifests, r.Tags, r.Blobs)
		require.Empty(t, slices.DeleteFunc(r.Findings, isMissingHint))
		require.Empty(t, scrubbed(t, w.replicas[0], d, reporting).Findings)
	})
}

// isPassing reports whether a finding is about a state that passes by itself. A delete or collection that
// another one has overtaken leaves the entry of a referrer that is gone, and the next collection removes
// it. A delete of a repository, during which something is pushed, removes a child before its index.
func isPassing(f scrub.Finding) bool {
	orphan := (f.Kind == storage.WrongReferrer || f.Kind == storage.WrongHint) && f.Expected == "a manifest"
	deleted := f.Kind == storage.MissingManifest && strings.Contains(f.Found, "content was deleted")
	return orphan || deleted || isMissingHint(f)
}

// isMissingHint reports whether a finding is about a blob that the index of blobs does not list. A delete, or the
// collection of a link, removes the entry that a push at the same time has found. Nothing depends on the entry, see
// docs/layout.md, and a scrub writes it again.
func isMissingHint(f scrub.Finding) bool { return f.Kind == storage.WrongBlobIndex }

// soakers are clients that change a storage.
type soakers struct {
	t        *testing.T
	replicas []*storage.Store
}

// check fails the test for an error that no race explains.
func (w *soakers) check(doing string, err error) {
	for _, ok := range []error{nil, registry.ErrManifestUnknown, registry.ErrManifestBlobUnknown, registry.ErrNameUnknown,
		registry.ErrBlobUnknown, registry.ErrUploadUnknown, registry.ErrUnavailable,
		registry.ErrDenied} {
		if errors.Is(err, ok) {
			return
		}
	}
	w.t.Errorf("%s: %v", doing, err)
}

// change makes one change.
func (w *soakers) change(ctx context.Context, s *storage.Store, r *rand.Rand) {
	repo := fmt.Sprint("repo", r.IntN(3))
	tag := fmt.Sprint("tag", r.IntN(4))
	n := r.IntN(6)
	switch r.IntN(10) {
	default:
		_, err := w.push(ctx, s, repo, n, tag, nil)
		w.check("pushing", err)
	case 5:
		a, err := w.push(ctx, s, repo, n, "", nil)
		if err == nil {
			_, err = w.push(ctx, s, repo, 10+n, "", &a)
		}
		w.check("pushing a referrer", err)
	case 6:
		a, err := w.push(ctx, s, repo, n, "", nil)
		if err == nil {
			_, err = s.PutManifest(ctx, repo, ocispec.MediaTypeImageIndex, index(a), &registry.PutOptions{
				Tags: []registry.TagPut{{Name: "all"}}})
		}
		w.check("pushing an index", err)
	case 7:
		w.check("deleting a tag", s.DeleteManifest(ctx, repo, reference.Ref{Tag: tag}, nil))
	case 8:
		// A delete of the child of an index would be found.
		if m, err := s.GetManifest(ctx, repo, reference.Ref{Tag: "all"}); err == nil {
			w.check("deleting an index", s.DeleteManifest(ctx, repo, reference.Ref{Digest: m.Descriptor.Digest}, nil))
		}
		if list := w.referrers(ctx, s, repo, n); len(list) > 0 {
			w.check("deleting", s.DeleteManifest(ctx, repo, reference.Ref{Digest: list[0]}, nil))
		}
	case 9:
		if r.IntN(4) == 0 {
			w.check("deleting a repository", s.DeleteRepository(ctx, repo, nil))
		}
	}
}

// content returns the blobs of image n.
func (w *soakers) content(n int) [][]byte {
	return [][]byte{[]byte("{}"), random(uint64(n%3), 30_000), random(uint64(100+n), 20_000)}
}

// push pushes image n.
func (w *soakers) push(ctx context.Context, s *storage.Store, repo string, n int, tag string,
	subject *ocispec.Descriptor) (ocispec.Descriptor, error) {
	var descs []ocispec.Descriptor
	for _, b := range w.content(n) {
		desc, err := tryBlob(ctx, s, repo, b, 1<<20)
		if err != nil {
			return desc, err
		}
		descs = append(descs, desc)
	}
	opts := &registry.PutOptions{}
	if tag != "" {
		opts.Tags = []registry.TagPut{{Name: tag}}
	}
	content := image(fmt.Sprint(n), subject, descs...)
	res, err := s.PutManifest(ctx, repo, ocispec.MediaTypeImageManifest, content, opts)
	return res.Descriptor, err
}

// referrers returns the referrers of image n in a repository.
func (w *soakers) referrers(ctx context.Context, s *storage.Store, repo string, n int) []digest.Digest {
	var descs []ocispec.Descriptor
	for _, b := range w.content(n) {
		descs = append(descs, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(b),
			Size: int64(len(b))})
	}
	var all []digest.Digest
	subject := digest.FromBytes(image(fmt.Sprint(n), nil, descs...))
	for desc, err := range s.Referrers(ctx, repo, subject, nil) {
		if err == nil {
			all = append(all, desc.Digest)
		}
	}
	return all
}
