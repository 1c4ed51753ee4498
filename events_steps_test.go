package registry_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// eventContent is what the steps push.
type eventContent struct {
	blob          []byte
	one, two      *registrytest.Content
	index, signed *registrytest.Content
}

// eventSteps returns the steps, and pushes what they need to the store, which has no events.
func eventSteps(t *testing.T, store registry.Backend) []eventStep {
	x := &eventContent{
		blob: registrytest.RandomBytes(1, 100),
		one:  registrytest.RandomImage(2, 1, 10), two: registrytest.RandomImage(4, 1, 10),
	}
	x.index = registrytest.Index(x.one, x.two)
	x.signed = registrytest.Artifact("application/x.signature", x.one.Descriptor, nil)
	for _, c := range []*registrytest.Content{x.one, x.two, x.signed} {
		require.NoError(t, c.Push(t.Context(), store, "src"))
		for _, b := range c.Blobs {
			_, err := registry.PushBlob(t.Context(), store, "a", digest.FromBytes(b), bytes.NewReader(b))
			require.NoError(t, err)
		}
	}
	_, err := registry.PushBlob(t.Context(), store, "src", "", bytes.NewReader(x.blob))
	require.NoError(t, err)
	var steps []eventStep
	for _, part := range [][]eventStep{x.uploads(), x.mounts(), x.pushes(), x.reads(), x.failures(), x.deletes(),
		x.restores()} {
		steps = append(steps, part...)
	}
	return steps
}

func (x *eventContent) uploads() []eventStep {
	want := []notification.Event{event(notification.Push, notification.Blob, blobOf(x.blob))}
	d := string(digest.FromBytes(x.blob))
	whole := func(t *testing.T, b registry.Backend) error {
		_, err := registry.PushBlob(t.Context(), b, "a", digest.Digest(d), bytes.NewReader(x.blob))
		return err
	}
	return []eventStep{
		{name: "blob in chunks", via: "PUT", want: want, http: func(c *client) {
			at := c.want(202, "POST", "/v2/a/blobs/uploads/", nil).Header.Get("Location")
			at = c.want(202, "PATCH", at, x.blob[:40], "Content-Range: 0-39").Header.Get("Location")
			c.want(204, "GET", at, nil)
			at = c.want(202, "PATCH", at, x.blob[40:]).Header.Get("Location")
			c.want(201, "PUT", at+"?digest="+d, nil)
		}, call: func(t *testing.T, b registry.Backend) error {
			u, err := b.CreateUpload(t.Context(), "a", nil)
			require.NoError(t, err)
			_, err = u.Append(t.Context(), 0, 40, bytes.NewReader(x.blob))
			require.NoError(t, err)
			u, err = b.ResumeUpload(t.Context(), "a", u.ID(), nil)
			require.NoError(t, err)
			_, err = u.Commit(t.Context(), digest.Digest(d), &registry.Chunk{Offset: 40, Length: 60,
				Body: bytes.NewReader(x.blob[40:])})
			return err
		}},
		{name: "blob in POST", via: "POST", want: want, call: whole,
			http: func(c *client) { c.pushBlob("a", x.blob) }},
		{name: "blob in PUT", via: "PUT", want: want, call: whole, http: func(c *client) {
			at := c.want(202, "POST", "/v2/a/blobs/uploads/", nil).Header.Get("Location")
			c.want(201, "PUT", at+"?digest="+d, x.blob)
		}},
		{name: "blob with a wrong digest", http: func(c *client) {
			c.want(400, "POST", "/v2/a/blobs/uploads/?digest="+sha256Zeros, x.blob)
		}, call: func(t *testing.T, b registry.Backend) error {
			_, err := registry.PushBlob(t.Context(), b, "a", sha256Zeros, bytes.NewReader(x.blob))
			return err
		}},
		{name: "cancelled upload", http: func(c *client) {
			at := c.want(202, "POST", "/v2/a/blobs/uploads/", nil).Header.Get("Location")
			c.want(204, "DELETE", at, nil)
		}, call: func(t *testing.T, b registry.Backend) error {
			u, err := b.CreateUpload(t.Context(), "a", nil)
			require.NoError(t, err)
			return u.Cancel(t.Context())
		}},
	}
}

func (x *eventContent) mounts() []eventStep {
	d := digest.FromBytes(x.blob)
	mount := func(from string, unknown bool) (http func(*client), call func(*testing.T, registry.Backend) error) {
		status, of := 201, d
		if unknown {
			status, of = 202, sha256Zeros
		}
		query := "?mount=" + string(of)
		if from != "" {
			query += "&from=" + from
		}
		return func(c *client) { c.want(status, "POST", "/v2/mounted/blobs/uploads/"+query, nil) },
			func(t *testing.T, b registry.Backend) error {
				_, err := b.MountBlob(t.Context(), "mounted", of, &registry.MountOptions{From: from})
				return err
			}
	}
	mounted := func(from string) []notification.Event {
		e := event(notification.Mount, notification.Blob, blobOf(x.blob))
		e.Repository, e.From = "mounted", from
		return []notification.Event{e}
	}
	steps := []eventStep{
		{name: "mount", via: "POST", want: mounted("src")},
		{name: "mount after a search", via: "POST", want: mounted("a")}, // the first that has it
		{name: "mount of an unknown blob"},
		{name: "mount of an unknown blob after a search"},
	}
	for i, from := range []string{"src", "", "src", ""} {
		steps[i].http, steps[i].call = mount(from, i >= 2)
	}
	return steps
}

// put returns both forms of a push of a manifest. With a path it is the tag or digest with its
// query.
func put(c *registrytest.Content, path string, tags ...string) (func(*client),
	func(*testing.T, registry.Backend) error) {
	return func(cl *client) {
			cl.want(201, "PUT", "/v2/a/manifests/"+path, c.Manifest, "Content-Type: "+c.Descriptor.MediaType)
		}, func(t *testing.T, b registry.Backend) error {
			opts := &registry.PutOptions{}
			for _, tag := range tags {
				opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
			}
			_, err := b.PutManifest(t.Context(), "a", c.Descriptor.MediaType, c.Manifest, opts)
			return err
		}
}

const imageConfig = ocispec.MediaTypeImageConfig

func (x *eventContent) pushes() []eventStep {
	one, two := typed(x.one, imageConfig), typed(x.two, imageConfig)
	push := func(target *ocispec.Descriptor, tags ...string) notification.Event {
		return event(notification.Push, notification.Manifest, target, tags...)
	}
	steps := []eventStep{
		{name: "new tag", want: []notification.Event{push(one, "v1")}},
		{name: "same tag", want: []notification.Event{push(one, "v1")}},
		{name: "push by digest", want: []notification.Event{push(two)}},
		{name: "several new tags", want: []notification.Event{push(one, "v2", "v3")}},
		{name: "a tag moves", want: []notification.Event{push(two, "v1"), moved(two, x.one, "v1")}},
		{name: "two tags move", want: []notification.Event{push(two, "v2", "new", "v3"),
			moved(two, x.one, "v2"), moved(two, x.one, "v3")}},
		{name: "a tag twice", want: []notification.Event{push(one, "v1"), moved(one, x.two, "v1")}},
		{name: "index", want: []notification.Event{push(typed(x.index, ""), "all")}},
		{name: "subject", want: []notification.Event{push(typed(x.signed, "application/x.signature"))}},
	}
	d1, d2 := string(x.one.Descriptor.Digest), string(x.two.Descriptor.Digest)
	for i, c := range []*registrytest.Content{x.one, x.one, x.two, x.one, x.two, x.two, x.one, x.index, x.signed} {
		steps[i].via = "PUT"
		path := []string{"v1", "v1", d2, d1 + "?tag=v2&tag=v3", "v1", d2 + "?tag=v2&tag=new&tag=v3",
			d1 + "?tag=v1&tag=v1", "all", string(x.signed.Descriptor.Digest)}[i]
		tags := [][]string{{"v1"}, {"v1"}, nil, {"v2", "v3"}, {"v1"}, {"v2", "new", "v3"}, {"v1", "v1"}, {"all"}, nil}[i]
		steps[i].http, steps[i].call = put(c, path, tags...)
	}
	return steps
}

func (x *eventContent) reads() []eventStep {
	d, b := string(x.one.Descriptor.Digest), string(digest.FromBytes(x.blob))
	get := func(status int, path string, header ...string) func(*client) {
		return func(c *client) { c.want(status, "GET", "/v2/a/"+path, nil, header...) }
	}
	manifest := func(ref reference.Ref) func(*testing.T, registry.Backend) error {
		return func(t *testing.T, b registry.Backend) error {
			_, err := b.GetManifest(t.Context(), "a", ref)
			return err
		}
	}
	open := func(t *testing.T, b registry.Backend) error {
		blob, err := b.OpenBlob(t.Context(), "a", digest.FromBytes(x.blob), nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, blob.Body)
		return errors.Join(err, blob.Body.Close())
	}
	pull := func(target *ocispec.Descriptor, tags ...string) []notification.Event {
		return []notification.Event{event(notification.Pull, notification.Manifest, target, tags...)}
	}
	blob := []notification.Event{event(notification.Pull, notification.Blob, blobOf(x.blob))}
	return []eventStep{
		{name: "GET by tag", via: "GET", want: pull(typed(x.one, imageConfig), "v1"), http: get(200, "manifests/v1"),
			call: manifest(reference.Ref{Tag: "v1"})},
		{name: "GET by digest", via: "GET", want: pull(typed(x.one, imageConfig)), http: get(200, "manifests/"+d),
			call: manifest(reference.Ref{Digest: x.one.Descriptor.Digest})},
		{name: "GET of an index", via: "GET", want: pull(typed(x.index, ""), "all"), http: get(200, "manifests/all"),
			call: manifest(reference.Ref{Tag: "all"})},
		{name: "GET of an artifact", via: "GET", want: pull(typed(x.signed, "application/x.signature")),
			http: get(200, "manifests/"+string(x.signed.Descriptor.Digest)),
			call: manifest(reference.Ref{Digest: x.signed.Descriptor.Digest})},
		{name: "GET of a blob", via: "GET", want: blob, http: get(200, "blobs/"+b), call: open},
		{name: "GET of a part of a blob", via: "GET", want: blob, http: get(206, "blobs/"+b, "Range: bytes=10-19"),
			call: open},
		{name: "HEAD", http: func(c *client) {
			c.want(200, "HEAD", "/v2/a/manifests/v1", nil)
			c.want(200, "HEAD", "/v2/a/manifests/"+d, nil)
			c.want(200, "HEAD", "/v2/a/blobs/"+b, nil)
		}, call: func(t *testing.T, b registry.Backend) error {
			_, err := b.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
			require.NoError(t, err)
			_, err = b.StatBlob(t.Context(), "a", digest.FromBytes(x.blob), nil)
			return err
		}},
		{name: "lists", http: func(c *client) {
			for _, path := range []string{"", "_catalog", "a/tags/list", "a/referrers/" + d} {
				c.want(200, "GET", "/v2/"+path, nil)
			}
		}, call: func(t *testing.T, b registry.Backend) error {
			for _, err := range b.Repositories(t.Context(), nil) {
				require.NoError(t, err)
			}
			for _, err := range b.Tags(t.Context(), "a", nil) {
				require.NoError(t, err)
			}
			for _, err := range b.Referrers(t.Context(), "a", x.one.Descriptor.Digest, nil) {
				require.NoError(t, err)
			}
			for _, err := range b.History(t.Context(), "a", nil) {
				require.NoError(t, err)
			}
			return nil
		}},
	}
}

// failures are operations that fail: they have no events.
func (x *eventContent) failures() []eventStep {
	unknown := reference.Ref{Tag: "unknown"}
	missing := registrytest.RandomImage(9, 1, 10)
	return []eventStep{
		{name: "unknown content", http: func(c *client) {
			for _, method := range []string{"GET", "HEAD", "DELETE"} {
				c.want(404, method, "/v2/a/manifests/unknown", nil)
				c.want(404, method, "/v2/a/manifests/"+sha256Zeros, nil)
				c.want(404, method, "/v2/a/blobs/"+sha256Zeros, nil)
			}
		}, call: func(t *testing.T, b registry.Backend) error {
			_, err := b.GetManifest(t.Context(), "a", unknown)
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			_, err = b.OpenBlob(t.Context(), "a", sha256Zeros, nil)
			require.ErrorIs(t, err, registry.ErrBlobUnknown)
			require.ErrorIs(t, b.DeleteManifest(t.Context(), "a", unknown, nil), registry.ErrManifestUnknown)
			require.ErrorIs(t, b.DeleteBlob(t.Context(), "a", sha256Zeros, nil), registry.ErrBlobUnknown)
			return b.DeleteRepository(t.Context(), "unknown", nil)
		}},
		{name: "refused manifests", http: func(c *client) {
			c.want(400, "PUT", "/v2/a/manifests/v1", "{}")
			c.want(400, "PUT", "/v2/a/manifests/v1", missing.Manifest, "Content-Type: "+missing.Descriptor.MediaType)
			c.want(412, "PUT", "/v2/a/manifests/v1", x.two.Manifest, "Content-Type: "+x.two.Descriptor.MediaType,
				"If-None-Match: *")
		}, call: func(t *testing.T, b registry.Backend) error {
			_, err := b.PutManifest(t.Context(), "a", "", []byte("{}"), nil)
			require.ErrorIs(t, err, registry.ErrManifestInvalid)
			_, err = b.PutManifest(t.Context(), "a", "", x.two.Manifest,
				&registry.PutOptions{Tags: []registry.TagPut{{Name: "v1", IfAbsent: true}}})
			require.ErrorIs(t, err, registry.ErrTagExists)
			_, err = b.Restore(t.Context(), "a", unknown, nil)
			return err
		}},
	}
}

func (x *eventContent) deletes() []eventStep {
	path := func(path string) func(*client) {
		return func(c *client) { c.want(202, "DELETE", "/v2/a/"+path, nil) }
	}
	manifest := func(ref reference.Ref) func(*testing.T, registry.Backend) error {
		return func(t *testing.T, b registry.Backend) error { return b.DeleteManifest(t.Context(), "a", ref, nil) }
	}
	deleted := func(kind notification.Kind, target *ocispec.Descriptor, tags ...string) []notification.Event {
		return []notification.Event{event(notification.Delete, kind, target, tags...)}
	}
	d := x.two.Descriptor.Digest
	return []eventStep{
		{name: "delete of a tag", via: "DELETE", want: deleted(notification.Tag, typed(x.two, ""), "new"),
			http: path("manifests/new"), call: manifest(reference.Ref{Tag: "new"})},
		{name: "delete of a manifest", via: "DELETE",
			want: deleted(notification.Manifest, typed(x.two, imageConfig), "v2", "v3"),
			http: path("manifests/" + string(d)), call: manifest(reference.Ref{Digest: d})},
		{name: "delete of an artifact", via: "DELETE",
			want: deleted(notification.Manifest, typed(x.signed, "application/x.signature")),
			http: path("manifests/" + string(x.signed.Descriptor.Digest)),
			call: manifest(reference.Ref{Digest: x.signed.Descriptor.Digest})},
		{name: "delete of a blob", via: "DELETE", want: deleted(notification.Blob, blobOf(x.blob)),
			http: path("blobs/" + string(digest.FromBytes(x.blob))),
			call: func(t *testing.T, b registry.Backend) error {
				return b.DeleteBlob(t.Context(), "a", digest.FromBytes(x.blob), nil)
			}},
	}
}

func (x *eventContent) restores() []eventStep {
	one, two, index := typed(x.one, imageConfig), typed(x.two, imageConfig), typed(x.index, "")
	restore := func(ref reference.Ref) func(*testing.T, registry.Backend) error {
		return func(t *testing.T, b registry.Backend) error {
			_, err := b.Restore(t.Context(), "a", ref, nil)
			return err
		}
	}
	restored := func(target *ocispec.Descriptor, tags ...string) notification.Event {
		return event(notification.Restore, notification.Manifest, target, tags...)
	}
	return []eventStep{
		{name: "restore of a deleted tag", want: []notification.Event{restored(two, "new")},
			call: restore(reference.Ref{Tag: "new"})},
		{name: "restore of a manifest", want: []notification.Event{restored(two, "v2", "v3")},
			call: restore(reference.Ref{Digest: x.two.Descriptor.Digest})},
		{name: "restore of a tag that moved", want: []notification.Event{restored(two, "v1"), moved(two, x.one, "v1")},
			call: restore(reference.Ref{Tag: "v1"})},
		{name: "delete of a repository", want: []notification.Event{event(notification.Delete, notification.Repository, nil)},
			call: func(t *testing.T, b registry.Backend) error { return b.DeleteRepository(t.Context(), "a", nil) }},
		// The newest delete comes first: manifests are deleted in the order of their digests.
		{name: "restore of a repository", want: inOrder(map[*registrytest.Content]notification.Event{
			x.one: restored(one), x.two: restored(two, "new", "v1", "v2", "v3"), x.index: restored(index, "all"),
		}), call: restore(reference.Ref{})},
	}
}

// inOrder returns events about manifests in descending order of their digests.
func inOrder(events map[*registrytest.Content]notification.Event) []notification.Event {
	keys := slices.SortedFunc(maps.Keys(events), func(a, b *registrytest.Content) int {
		return strings.Compare(string(b.Descriptor.Digest), string(a.Descriptor.Digest))
	})
	var sorted []notification.Event
	for _, c := range keys {
		sorted = append(sorted, events[c])
	}
	return sorted
}
