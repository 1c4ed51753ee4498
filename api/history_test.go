package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
)

func TestHistory(t *testing.T) {
	c := newContentSite(t)
	path, history := repoPath("acme/app"), repoPath("acme/app", "history")
	tag := repoPath("acme/app", "tags", "v1")
	put := types.TagPut{Digest: imageTwo.Descriptor.Digest.String()}
	c.do(t, "ann", "PUT", tag, put, "If-Match: *").want(200)
	c.do(t, "ann", "DELETE", tag, nil, "If-Match: *").want(204)
	var list types.ChangeList
	c.do(t, "ann", "GET", history+"?tag=v1", nil).want(200).into(&list)
	var changes []string
	for _, e := range list.Items {
		changes = append(changes, e.Change+" "+e.By)
	}
	require.Equal(t, []string{"untag ann", "tag ann", "tag "}, changes)
	require.Equal(t, imageTwo.Descriptor.Digest.String(), list.Items[0].Before.Digest)
	pages := 0
	for next := history + "?limit=1"; next != ""; pages++ {
		next = c.do(t, "ann", "GET", next, nil).want(200).into(&list).next()
	}
	require.Equal(t, 5, pages)
	_, err := c.people.UpdateRepository(t.Context(), accounts.Actor{}, "acme/app", func(r *accounts.Repository) error {
		r.Visibility = accounts.Public
		return nil
	})
	require.NoError(t, err)
	list = types.ChangeList{}
	c.do(t, "bob", "GET", history+"?tag=v1", nil).want(200).into(&list)
	require.Empty(t, list.Items[0].By, "only callers with push access see names")

	c.do(t, "bob", "POST", path+"/restore", types.Restore{Tag: "v1"}).fails(403, "DENIED")
	var r types.Restored
	c.do(t, "ann", "POST", path+"/restore", types.Restore{Tag: "v1"}).want(200).into(&r)
	require.Equal(t, []types.RestoredManifest{{Digest: imageTwo.Descriptor.Digest.String(),
		MediaType: imageTwo.Descriptor.MediaType, Size: imageTwo.Descriptor.Size, Tags: []string{"v1"}}}, r.Manifests)
	to := types.Restore{Tag: "v1", To: imageOne.Descriptor.Digest.String()}
	c.do(t, "ann", "POST", path+"/restore", to).want(200).into(&r)
	require.Equal(t, imageOne.Descriptor.Digest.String(), r.Manifests[0].Digest)
	c.do(t, "ann", "POST", path+"/restore", `{"tag":"v1","digest":"sha256:x"}`).fails(400, "INVALID")
	c.do(t, "ann", "POST", path+"/restore", `{"to":"sha256:x"}`).fails(400, "INVALID")
	c.do(t, "ann", "POST", path+"/restore", `{"digest":"sha256:x"}`).fails(400, "DIGEST_INVALID")
	c.do(t, "ann", "POST", path+"/restore", `{"tag":"none"}`).fails(404, "MANIFEST_UNKNOWN")

	c.do(t, "ann", "DELETE", repoPath("acme/app", "manifests", imageOne.Descriptor.Digest.String()), nil, "If-Match: *").
		want(204)
	c.do(t, "ann", "POST", path+"/restore", types.Restore{Digest: imageOne.Descriptor.Digest.String()}).want(200).into(&r)
	require.Equal(t, []string{"latest", "v1"}, r.Manifests[0].Tags)
	c.do(t, "ann", "DELETE", path, nil, "If-Match: *").want(204)
	c.do(t, "ann", "POST", path+"/restore", `{}`).want(200).into(&r)
	require.Len(t, r.Manifests, 2)
	c.do(t, "ann", "GET", repoPath("acme/app", "tags", "v2"), nil).want(200)
}
