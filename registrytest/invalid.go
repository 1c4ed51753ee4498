package registrytest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// attempt is one operation to call.
type attempt struct {
	name string
	call func() error
}

func blobAttempts(ctx context.Context, b registry.Backend, repo string, d digest.Digest) []attempt {
	return []attempt{
		{"OpenBlob", func() error { _, err := b.OpenBlob(ctx, repo, d, nil); return err }},
		{"StatBlob", func() error { _, err := b.StatBlob(ctx, repo, d, nil); return err }},
	}
}

func listAttempts(ctx context.Context, b registry.Backend, repo string) []attempt {
	return []attempt{
		{"Tags", func() error { _, err := collect(b.Tags(ctx, repo, nil), -1); return err }},
		{"Referrers", func() error { _, err := collect(b.Referrers(ctx, repo, zeros, nil), -1); return err }},
	}
}

func manifestAttempts(ctx context.Context, b registry.Backend, repo, tag string, d digest.Digest) []attempt {
	ref := byTag(tag)
	if d != "" {
		ref = byDigest(d)
	}
	return []attempt{
		{"GetManifest", func() error { _, err := b.GetManifest(ctx, repo, ref); return err }},
		{"StatManifest", func() error { _, err := b.StatManifest(ctx, repo, ref, nil); return err }},
	}
}

func requireAttempts(t *testing.T, kind *registry.Error, input string, attempts ...[]attempt) {
	t.Helper()
	for _, group := range attempts {
		for _, a := range group {
			requireError(t, a.call(), kind, "%s with %.70q", a.name, input)
		}
	}
}

func (s *suite) invalidName(t *testing.T) {
	b, _ := s.new(t)
	ctx := t.Context()
	for _, name := range []string{
		"", "/", "a/", "/a", "a//b", ".", "..", "a/..", "../a", "a/../b", "a/./b", ".a", "-a", "_a", "a-", "a/b-", "a/_b",
		"a..b", "a___b", "A", "a/B", "a b", "ä", "a\x00",
		"a\nb", "a%2fb", "a?b", "a#b", "a:b", "a@b", "a\\b", "a\xff", long("a", s.MaxName+1),
		strings.Repeat("a/", s.MaxName) + "a",
	} {
		requireAttempts(t, registry.ErrNameInvalid, name, blobAttempts(ctx, b, name, zeros), listAttempts(ctx, b, name),
			manifestAttempts(ctx, b, name, "latest", ""), manifestAttempts(ctx, b, name, "", zeros))
		if s.ReadOnly != nil {
			continue
		}
		requireAttempts(t, registry.ErrNameInvalid, name, []attempt{
			{"CreateUpload", func() error {
				_, err := b.CreateUpload(ctx, name,
					&registry.UploadOptions{Owner: s.Owner})
				return err
			}},
			{"ResumeUpload", func() error {
				_, err := b.ResumeUpload(ctx, name, "id", &registry.ResumeOptions{Owner: s.Owner})
				return err
			}},
			{"MountBlob", func() error {
				_, err := b.MountBlob(ctx, name, zeros, &registry.MountOptions{From: "from"})
				return err
			}},
			{"PutManifest", func() error { return put(ctx, b, name, tiny(1)) }},
		})
		if name != "" {
			requireAttempts(t, registry.ErrNameInvalid, name, []attempt{
				{"MountBlob from", func() error {
					_, err := b.MountBlob(ctx, "to", zeros,
						&registry.MountOptions{From: name})
					return err
				}},
			})
		}
		if !s.NoDelete {
			requireAttempts(t, registry.ErrNameInvalid, name, []attempt{
				{"DeleteBlob", func() error { return b.DeleteBlob(ctx, name, zeros, nil) }},
				{"DeleteManifest", func() error { return b.DeleteManifest(ctx, name, byDigest(zeros), nil) }},
				{"DeleteTag", func() error { return b.DeleteManifest(ctx, name, byTag("latest"), nil) }},
			})
		}
		if !s.NoDelete && !s.NoDeleteRepository {
			requireError(t, b.DeleteRepository(ctx, name, nil), registry.ErrNameInvalid, "delete %q", name)
		}
	}
	requireRepositories(t, b)
}

func (s *suite) invalidTag(t *testing.T) {
	b, w := s.new(t)
	ctx := t.Context()
	push(t, w, "a/b", tiny(1), "v1")
	for _, tag := range []string{".", "..", ".a", "-a", "a/b", "../v1", "a b", "ä", "a\x00", "a\n", "v1%00", "a?b",
		"a#b", "a+b", "a@b", "a\\b", "a\xff", long("a", 129)} {
		requireAttempts(t, registry.ErrTagInvalid, tag, manifestAttempts(ctx, b, "a/b", tag, ""))
		if s.ReadOnly != nil {
			continue
		}
		requireError(t, put(ctx, b, "a/b", tiny(2), registry.TagPut{Name: tag}), registry.ErrTagInvalid, "put %q", tag)
		requireError(t, put(ctx, b, "a/b", tiny(2), registry.TagPut{Name: "v2"}, registry.TagPut{Name: tag}),
			registry.ErrTagInvalid, "put %q", tag)
		if !s.NoDelete {
			requireError(t, b.DeleteManifest(ctx, "a/b", byTag(tag), nil), registry.ErrTagInvalid, "delete %q", tag)
		}
	}
	if s.ReadOnly == nil {
		requireError(t, put(ctx, b, "a/b", tiny(2), registry.TagPut{}), registry.ErrTagInvalid, "put no tag")
	}
	requireNoManifest(t, b, "a/b", byTag("v2"), byDigest(tiny(2).Descriptor.Digest))
	requireTags(t, b, "a/b", "v1")
}

func (s *suite) invalidDigest(t *testing.T) {
	b, w := s.new(t)
	ctx := t.Context()
	s.pushBlob(t, w, "a/b", []byte("content"))
	for _, d := range []digest.Digest{
		"sha256", "sha256:", ":", "sha256:00", zeros + "0", zeros[:70],
		digest.Digest(strings.ToUpper(string(digest.FromString("x")))), "sha512:" + zeros[7:],
		"sha256:" + digest.Digest(strings.Repeat("g", 64)), "md5:00000000000000000000000000000000",
		"sha1:0000000000000000000000000000000000000000",
		"sha384:" + digest.Digest(strings.Repeat("0", 96)), "../" + zeros,
		"sha256:../../" + digest.Digest(strings.Repeat("0", 58)), "x:y", zeros + "\n", " " + zeros,
	} {
		requireAttempts(t, registry.ErrDigestInvalid, string(d), blobAttempts(ctx, b, "a/b", d),
			manifestAttempts(ctx, b, "a/b", "", d), []attempt{
				{"Referrers", func() error { _, err := collect(b.Referrers(ctx, "a/b", d, nil), -1); return err }},
			})
		if s.ReadOnly != nil {
			continue
		}
		c := tiny(1)
		requireAttempts(t, registry.ErrDigestInvalid, string(d), []attempt{
			{"MountBlob", func() error { _, err := b.MountBlob(ctx, "to", d, &registry.MountOptions{From: "a/b"}); return err }},
			{"PutManifest", func() error {
				_, err := b.PutManifest(ctx, "a/b", c.Descriptor.MediaType, c.Manifest, &registry.PutOptions{Digest: d})
				return err
			}},
			{"Commit", func() error { _, err := s.create(t, b, "a/b").Commit(ctx, d, nil); return err }},
		})
		if !s.NoDelete {
			requireAttempts(t, registry.ErrDigestInvalid, string(d), []attempt{
				{"DeleteBlob", func() error { return b.DeleteBlob(ctx, "a/b", d, nil) }},
				{"DeleteManifest", func() error { return b.DeleteManifest(ctx, "a/b", byDigest(d), nil) }},
			})
		}
	}
	requireAttempts(t, registry.ErrDigestInvalid, "", blobAttempts(ctx, b, "a/b", ""))
}

// unknowns lists the errors that the end of a context must not cause.
var unknowns = []*registry.Error{registry.ErrBlobUnknown, registry.ErrManifestUnknown, registry.ErrNameUnknown,
	registry.ErrUploadUnknown, registry.ErrManifestBlobUnknown}

// requireNoConclusion requires that an operation whose context has ended does not report existing
// content as missing.
func requireNoConclusion(t *testing.T, err error, what string) {
	t.Helper()
	for _, kind := range unknowns {
		require.False(t, errors.Is(err, kind), "%s of existing content after the context has ended: %v", what, err)
	}
}

func (s *suite) contextEndsReads(t *testing.T) {
	b, w := s.new(t)
	img := RandomImage(1, 2, 100_000)
	push(t, w, "a/b", img, "v1")
	art := Artifact("application/x.test", img.Descriptor, nil)
	push(t, w, "a/b", art)
	ctx, cancel := context.WithCancel(t.Context())
	blob, err := b.OpenBlob(ctx, "a/b", img.descriptorOf(1), nil)
	require.NoError(t, err)
	cancel()
	within("reads with a context that has ended", func() {
		_, err := io.Copy(io.Discard, blob.Body)
		requireNoConclusion(t, err, "Read")
		_ = blob.Body.Close() // it may fail or not
		for _, a := range append(blobAttempts(ctx, b, "a/b", img.descriptorOf(1)),
			manifestAttempts(ctx, b, "a/b", "v1", "")...) {
			requireNoConclusion(t, a.call(), a.name)
		}
		tags, err := collect(b.Tags(ctx, "a/b", nil), -1)
		requireNoConclusion(t, err, "Tags")
		if err == nil {
			require.Equal(t, []string{"v1"}, tags, "without an error, the list must be complete")
		}
		names, err := collect(b.Repositories(ctx, nil), -1)
		if err == nil {
			require.Equal(t, []string{"a/b"}, names, "without an error, the list must be complete")
		}
		refs, err := collect(b.Referrers(ctx, "a/b", img.Descriptor.Digest, nil), -1)
		if err == nil && !s.Opaque {
			require.Len(t, refs, 1, "without an error, the list must be complete")
		}
	})
}

// contextEndsWrites checks that a write whose context has ended either succeeds or fails, and
// leaves nothing incomplete.
func (s *suite) contextEndsWrites(t *testing.T) {
	b, _ := s.new(t)
	img, other := RandomImage(1, 2, 1000), RandomImage(2, 1, 1000)
	push(t, b, "a/b", img, "v1")
	push(t, b, "a/b", other, "v2")
	u := s.create(t, b, "a/b")
	add(t, u, []byte("content"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	within("writes with a context that has ended", func() {
		_, err := u.Commit(ctx, digest.FromString("content"), nil)
		requireNoConclusion(t, err, "Commit")
		if err == nil {
			requireBlob(t, b, "a/b", []byte("content"))
		}
		err = put(ctx, b, "a/b", img, registry.TagPut{Name: "v3"})
		requireNoConclusion(t, err, "PutManifest")
		if err == nil {
			requireManifest(t, b, "a/b", img, "v3")
		}
		if _, err = b.MountBlob(ctx, "to", img.descriptorOf(1), &registry.MountOptions{From: "a/b"}); err == nil {
			requireBlob(t, b, "to", img.Blobs[1])
		}
		if s.NoDelete {
			return
		}
		err = b.DeleteManifest(ctx, "a/b", byDigest(other.Descriptor.Digest), nil)
		requireNoConclusion(t, err, "DeleteManifest")
		if err == nil {
			requireNoManifest(t, b, "a/b", byTag("v2"), byDigest(other.Descriptor.Digest))
		}
	})
	s.requireWhole(t, b, "a/b", img, other)
	requireManifest(t, b, "a/b", img, "v1")
}
