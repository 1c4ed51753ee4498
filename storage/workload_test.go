package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// workload is a script of every operation that writes. Each step records what must hold after it
// was acknowledged.
type workload struct {
	ctx     context.Context
	s       *storage.Store
	blobs   map[string][]byte        // repository@digest
	tags    map[string]digest.Digest // repository:tag
	gone    map[string]bool          // tags and manifests that a delete has begun for
	uploads map[string]int64         // the acknowledged size of unfinished uploads, by id
	content map[digest.Digest][]byte // manifests
	byRepo  map[string]map[digest.Digest]bool
}

func newWorkload(ctx context.Context, s *storage.Store) *workload {
	return &workload{ctx: ctx, s: s, blobs: map[string][]byte{}, tags: map[string]digest.Digest{}, gone: map[string]bool{},
		uploads: map[string]int64{}, content: map[digest.Digest][]byte{}, byRepo: map[string]map[digest.Digest]bool{}}
}

// run runs the script up to the first error.
func (w *workload) run() error {
	big, small, chunked := random(1, 40_000), []byte("{}"), random(2, 60_000)
	desc := func(b []byte) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(b), Size: int64(len(b))}
	}
	first := image("first", nil, desc(small), desc(big))
	firstDesc := desc(first)
	firstDesc.MediaType = ocispec.MediaTypeImageManifest
	second := image("second", &firstDesc, desc(small), desc(chunked))
	third := image("third", nil, desc(small), desc(big))
	for _, step := range []func() error{
		func() error { return w.blob("a/b", small) },
		func() error { return w.blob("a/b", big) },
		func() error { return w.chunks("a/b", chunked) },
		func() error { return w.manifest("a/b", first, "v1", "latest") },
		func() error { return w.manifest("a/b", second, "sig") },
		func() error { return w.manifest("a/b", third, "latest") },
		func() error { return w.blob("c", small) },
		func() error { return w.mount("c", big) },
		func() error { return w.blob("c", chunked) }, // shares the data of a/b
		func() error { return w.manifest("c", third, "v3") },
		func() error { return w.deleteManifest("a/b", second, "sig") },
		func() error { return w.deleteTag("a/b", "v1") },
		func() error { return w.manifest("a/b", second, "sig") },
		func() error { return w.deleteRepository("c", third, "v3") },
		func() error { return w.manifest("a/b", first, "again") },
		func() error { return w.unfinished("a/b", chunked) },
		func() error { return w.cancelled("a/b", big) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (w *workload) blob(repo string, b []byte) error {
	_, err := tryBlob(w.ctx, w.s, repo, b)
	if err == nil {
		w.blobs[repo+"@"+string(digest.FromBytes(b))] = b
	}
	return err
}

func (w *workload) chunks(repo string, b []byte) error {
	u, err := w.s.CreateUpload(w.ctx, repo, nil)
	if err != nil {
		return err
	}
	id := u.ID()
	for at := 0; at < len(b); at += 10_000 {
		if _, err := u.Append(w.ctx, int64(at), 10_000, bytes.NewReader(b[at:at+10_000])); err != nil {
			return err
		}
		delete(w.uploads, id) // its id has changed
		id = u.ID()
		w.uploads[id] = int64(at + 10_000)
	}
	_, err = u.Commit(w.ctx, digest.FromBytes(b), nil)
	delete(w.uploads, id) // the upload may have ended, whatever the error
	if err == nil {
		w.blobs[repo+"@"+string(digest.FromBytes(b))] = b
	}
	return err
}

func (w *workload) unfinished(repo string, b []byte) error {
	u, err := w.s.CreateUpload(w.ctx, repo, nil)
	if err != nil {
		return err
	}
	if _, err = u.Append(w.ctx, 0, 30_000, bytes.NewReader(b)); err == nil {
		w.uploads[u.ID()] = 30_000
	}
	return err
}

func (w *workload) cancelled(repo string, b []byte) error {
	u, err := w.s.CreateUpload(w.ctx, repo, nil)
	if err != nil {
		return err
	}
	if _, err = u.Append(w.ctx, 0, -1, bytes.NewReader(b)); err != nil {
		return err
	}
	return u.Cancel(w.ctx)
}

func (w *workload) mount(repo string, b []byte) error {
	_, err := w.s.MountBlob(w.ctx, repo, digest.FromBytes(b), nil)
	if err == nil {
		w.blobs[repo+"@"+string(digest.FromBytes(b))] = b
	}
	return err
}

func (w *workload) manifest(repo string, content []byte, names ...string) error {
	d := digest.FromBytes(content)
	for _, n := range names {
		delete(w.tags, repo+":"+n) // until the push is acknowledged, the tag may be old or new
		delete(w.gone, repo+":"+n)
	}
	delete(w.gone, repo+"@"+string(d))
	_, err := w.s.PutManifest(w.ctx, repo, ocispec.MediaTypeImageManifest, content, tags(names...))
	if err != nil {
		return err
	}
	w.content[d] = content
	if w.byRepo[repo] == nil {
		w.byRepo[repo] = map[digest.Digest]bool{}
	}
	w.byRepo[repo][d] = true
	for _, n := range names {
		w.tags[repo+":"+n] = d
	}
	return nil
}

func (w *workload) forget(repo string, d digest.Digest, names ...string) {
	delete(w.byRepo[repo], d)
	for _, n := range names {
		delete(w.tags, repo+":"+n)
	}
}

func (w *workload) deleteManifest(repo string, content []byte, names ...string) error {
	d := digest.FromBytes(content)
	w.forget(repo, d, names...)
	err := w.s.DeleteManifest(w.ctx, repo, byDigest(d), nil)
	if err == nil {
		w.gone[repo+"@"+string(d)] = true
		for _, n := range names {
			w.gone[repo+":"+n] = true
		}
	}
	return err
}

func (w *workload) deleteTag(repo, tag string) error {
	delete(w.tags, repo+":"+tag)
	err := w.s.DeleteManifest(w.ctx, repo, byTag(tag), nil)
	if err == nil {
		w.gone[repo+":"+tag] = true
	}
	return err
}

func (w *workload) deleteRepository(repo string, content []byte, names ...string) error {
	w.forget(repo, digest.FromBytes(content), names...)
	for key := range w.blobs {
		if len(key) > len(repo) && key[:len(repo)+1] == repo+"@" {
			delete(w.blobs, key)
		}
	}
	err := w.s.DeleteRepository(w.ctx, repo, nil)
	if err == nil {
		w.gone[repo+"@"+string(digest.FromBytes(content))] = true
	}
	return err
}

// check demands that a store has all that was acknowledged, and that everything visible is
// complete.
func (w *workload) check(t *testing.T, s *storage.Store, at string) {
	ctx := t.Context()
	for key, want := range w.blobs {
		repo, d, _ := strings.Cut(key, "@")
		got, err := readBlob(ctx, s, repo, digest.Digest(d))
		require.NoError(t, err, "%s: blob %s", at, key)
		require.True(t, bytes.Equal(want, got), "%s: blob %s", at, key)
	}
	for repo, digests := range w.byRepo {
		for d := range digests {
			m, err := s.GetManifest(ctx, repo, byDigest(d))
			require.NoError(t, err, "%s: manifest %s@%s", at, repo, d)
			require.Equal(t, w.content[d], m.Content)
			var parsed ocispec.Manifest
			require.NoError(t, json.Unmarshal(m.Content, &parsed))
			if parsed.Subject == nil {
				continue
			}
			var referrers []digest.Digest
			for _, desc := range collect(t, s.Referrers(ctx, repo, parsed.Subject.Digest, nil)) {
				referrers = append(referrers, desc.Digest)
			}
			require.Contains(t, referrers, d, "%s: referrers of %s", at, parsed.Subject.Digest)
		}
	}
	for _, repo := range []string{"a/b", "c"} {
		listed := map[string]bool{}
		for tag, err := range s.Tags(ctx, repo, nil) {
			if errors.Is(err, registry.ErrNameUnknown) {
				break
			}
			require.NoError(t, err, at)
			listed[tag] = true
		}
		for _, tag := range []string{"v1", "latest", "sig", "v3", "again"} {
			key := repo + ":" + tag
			m, err := s.GetManifest(ctx, repo, byTag(tag))
			if want, ok := w.tags[key]; ok {
				require.NoError(t, err, "%s: %s", at, key)
				require.Equal(t, want, m.Descriptor.Digest, "%s: %s", at, key)
				require.True(t, listed[tag], "%s: %s is not listed", at, key)
			}
			if w.gone[key] {
				require.ErrorIs(t, err, registry.ErrManifestUnknown, "%s: %s", at, key)
				require.False(t, listed[tag], "%s: %s is listed", at, key)
			}
			if err == nil {
				var parsed ocispec.Manifest
				require.NoError(t, json.Unmarshal(m.Content, &parsed))
				for _, b := range append(parsed.Layers, parsed.Config) {
					got, err := readBlob(ctx, s, repo, b.Digest)
					require.NoError(t, err, "%s: %s is visible but not complete", at, key)
					require.Equal(t, b.Digest, digest.FromBytes(got))
				}
			}
		}
	}
	for id, size := range w.uploads {
		u, err := s.ResumeUpload(ctx, "a/b", id, nil)
		require.NoError(t, err, at)
		require.GreaterOrEqual(t, u.Size(), size, at)
	}
}
