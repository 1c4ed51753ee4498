package api_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

func TestDeletionPreview(t *testing.T) {
	s := newSite(t, func(s *site, opts *api.Options) {
		opts.Accounts, opts.Tags, opts.Bin = s.people, s.store.Inventory(), s.store.Inventory()
		opts.Protects = func(string) func(string) bool { return func(tag string) bool { return tag == "release" } }
	})
	path := repoPath("acme/app", "deletion-preview")
	one, two := registrytest.RandomImage(1, 1, 1000), registrytest.RandomImage(2, 1, 2000)
	index := registrytest.Index(one, two)
	require.NoError(t, index.Push(t.Context(), s.store, "acme/app", "index"))
	require.NoError(t, one.Push(t.Context(), s.store, "acme/app", "v1"))
	require.NoError(t, one.Push(t.Context(), s.store, "acme/app", "v1.0"))
	preview := func(user string, what types.Deletion) (p types.DeletionPreview) {
		s.do(t, user, "POST", path, what).want(200).into(&p)
		return p
	}
	p := preview("ann", types.Deletion{Tags: []string{"v1", "none"}})
	require.Equal(t, []string{"v1.0"}, p.Tags[0].OtherTags)
	require.Equal(t, one.Descriptor.Digest.String(), p.Tags[0].Digest)
	require.True(t, p.Tags[1].Missing)
	require.False(t, p.Until.IsZero())
	require.Nil(t, p.Freed)

	first, whole := one.Descriptor.Digest.String(), index.Descriptor.Digest.String()
	p = preview("ann", types.Deletion{Digests: []string{first, whole, "sha256:" + strings.Repeat("0", 64)}})
	require.Equal(t, []string{"v1", "v1.0"}, p.Manifests[0].Tags)
	require.Empty(t, p.Manifests[0].UsedBy, "the index goes, too")
	require.Len(t, p.Manifests[1].Children, 2)
	require.True(t, p.Manifests[2].Missing)
	require.GreaterOrEqual(t, *p.Freed, int64(1000))
	require.Equal(t, []string{whole}, preview("ann", types.Deletion{Digests: []string{first}}).Manifests[0].UsedBy)

	require.NoError(t, index.Push(t.Context(), s.store, "acme/app", "release"))
	p = preview("ann", types.Deletion{Digests: []string{first, whole}})
	require.Equal(t, types.RefusedImmutable, p.Manifests[1].Refused)
	p = preview("ann", types.Deletion{Digests: []string{first}})
	require.Equal(t, types.RefusedImmutable, p.Manifests[0].Refused, "an immutable tag reaches it by an index")
	p = preview("ann", types.Deletion{})
	require.Equal(t, types.RepositoryDeletion{Tags: 4, Manifests: p.Everything.Manifests, Refused: types.RefusedImmutable},
		*p.Everything)
	require.Equal(t, 3, *p.Everything.Manifests)

	var many []string
	for i := range 201 {
		many = append(many, fmt.Sprintf("t%d", i))
	}
	s.do(t, "ann", "POST", path, types.Deletion{Tags: many}).fails(400, "INVALID")
	s.do(t, "ann", "POST", path, types.Deletion{Tags: []string{"a", "a"}}).fails(400, "INVALID")
	s.do(t, "ann", "POST", path, types.Deletion{Tags: []string{"-"}}).fails(400, "TAG_INVALID")
	s.do(t, "bob", "POST", path, types.Deletion{}).fails(403, "DENIED")
}

func TestCopies(t *testing.T) {
	c := newContentSite(t)
	path, d := repoPath("acme/app", "copies"), imageOne.Descriptor.Digest
	var made types.Copied
	what := types.Copy{Digest: d.String(), To: "acme/other", ToTag: "v1"}
	c.do(t, "ann", "POST", path, what).want(428)
	a := c.do(t, "ann", "POST", path, what, "If-None-Match: *").want(201).into(&made)
	require.Equal(t, `"`+d.String()+`"`, a.header.Get("ETag"))
	require.Equal(t, types.Copied{Repository: "acme/other", Tag: "v1", Digest: d.String(), Size: imageOne.Descriptor.Size,
		MediaType: imageOne.Descriptor.MediaType, Manifests: made.Manifests, Blobs: made.Blobs, Bytes: made.Bytes}, made)
	c.do(t, "ann", "POST", path, what, "If-None-Match: *").want(412)
	c.do(t, "ann", "POST", path, types.Copy{Tag: "v1", Digest: d.String(), To: "acme/x"}).fails(400, "INVALID")
	c.do(t, "ann", "POST", path, types.Copy{To: "acme/x"}).fails(400, "INVALID")
	c.do(t, "ann", "POST", path, types.Copy{Tag: "none", To: "acme/x"}).fails(404, "MANIFEST_UNKNOWN")
	c.do(t, "ann", "POST", path, types.Copy{Digest: d.String(), To: "A"}).fails(400, "NAME_INVALID")
	c.do(t, "ann", "POST", path, types.Copy{Digest: d.String(), To: "bob/app"}).fails(403, "DENIED")
	c.do(t, "bob", "POST", path, types.Copy{Digest: d.String(), To: "bob/app"}).fails(403, "DENIED")
	_, err := c.store.StatManifest(t.Context(), "bob/app", reference.Ref{Digest: d}, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
}

// TestDeletionPreviewIsBounded: a preview does not keep what very many manifests name, and says nothing about the bytes
// that become free then.
func TestDeletionPreviewIsBounded(t *testing.T) {
	s := newSite(t, func(s *site, opts *api.Options) {
		opts.Accounts, opts.Tags, opts.Bin = s.people, s.store.Inventory(), s.store.Inventory()
	})
	var first string
	for i := range 7 {
		var elements []string
		for n := range 9000 {
			elements = append(elements, fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":2}`,
				ocispec.MediaTypeImageManifest, digest.FromString(fmt.Sprint(i, n))))
		}
		m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}`, ocispec.MediaTypeImageIndex,
			strings.Join(elements, ","))
		_, err := s.store.PutManifest(t.Context(), "acme/app", ocispec.MediaTypeImageIndex, []byte(m),
			&registry.PutOptions{Sparse: true})
		require.NoError(t, err)
		var p types.DeletionPreview
		first = cmp.Or(first, digest.FromString(m).String())
		s.do(t, "ann", "POST", repoPath("acme/app", "deletion-preview"), types.Deletion{Digests: []string{first}}).
			want(200).into(&p)
		require.Equal(t, i < 5, p.Freed != nil, i)
	}
	var list types.ManifestList
	s.do(t, "ann", "GET", repoPath("acme/app", "manifests")+"?kind=untagged", nil).want(200).into(&list)
	require.Len(t, list.Items, 7)
}
