package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
)

func TestTags(t *testing.T) {
	c := newContentSite(t)
	path := repoPath("acme/app", "tags")
	var list types.TagList
	a := c.do(t, "ann", "GET", path+"?limit=2", nil).want(200).into(&list)
	require.Equal(t, []string{"latest", "v1"}, []string{list.Items[0].Name, list.Items[1].Name})
	one := imageOne.Descriptor
	require.Equal(t, one.Digest.String(), list.Items[0].Digest)
	require.Equal(t, one.MediaType, list.Items[0].MediaType)
	require.Equal(t, one.Size, list.Items[0].Size)
	require.WithinDuration(t, time.Now(), list.Items[0].Set, time.Hour)
	list = types.TagList{}
	b := c.do(t, "ann", "GET", a.next(), nil).want(200).into(&list)
	require.Equal(t, "v2", list.Items[0].Name)
	require.Empty(t, b.next())
	c.do(t, "ann", "GET", path+"?q=v", nil).want(200).into(&list)
	require.Len(t, list.Items, 2)
	c.do(t, "ann", "GET", path+"?q=nothing", nil).want(200).into(&list)
	require.Empty(t, list.Items)
	c.do(t, "ann", "GET", repoPath("acme/none", "tags"), nil).fails(404, "NAME_UNKNOWN")

	var tag types.Tag
	a = c.do(t, "ann", "GET", path+"/v2", nil).want(200).into(&tag)
	require.Equal(t, `"`+imageTwo.Descriptor.Digest.String()+`"`, a.header.Get("ETag"))
	require.NotZero(t, tag.Set)
	c.do(t, "ann", "GET", path+"/none", nil).fails(404, "MANIFEST_UNKNOWN")
	c.do(t, "ann", "GET", path+"/-", nil).fails(400, "TAG_INVALID")
}

func TestPutTag(t *testing.T) {
	c := newContentSite(t)
	path := repoPath("acme/app", "tags", "stable")
	one, two := imageOne.Descriptor.Digest, imageTwo.Descriptor.Digest
	put := func(d digest.Digest) types.TagPut { return types.TagPut{Digest: d.String()} }
	c.do(t, "ann", "PUT", path, put(one)).fails(428, "PRECONDITION_REQUIRED")
	c.do(t, "ann", "PUT", path, put(one), "If-Match: *").fails(412, "PRECONDITION_FAILED")
	var tag types.Tag
	a := c.do(t, "ann", "PUT", path, put(one), "If-None-Match: *").want(200).into(&tag)
	require.Equal(t, one.String(), tag.Digest)
	c.do(t, "ann", "PUT", path, put(two), "If-None-Match: *").fails(412, "PRECONDITION_FAILED")
	c.do(t, "ann", "PUT", path, put(two), a.ifMatch()).want(200).into(&tag)
	require.Equal(t, two.String(), tag.Digest)
	c.do(t, "ann", "PUT", path, put(two), a.ifMatch()).fails(412, "PRECONDITION_FAILED")
	c.do(t, "ann", "PUT", path, put(one), "If-Match: x").fails(400, "INVALID")
	c.do(t, "ann", "PUT", path, put("x"), "If-Match: *").fails(400, "DIGEST_INVALID")
	c.do(t, "ann", "PUT", path, put(digest.FromString("none")), "If-Match: *").fails(404, "MANIFEST_UNKNOWN")
	c.do(t, "ann", "PUT", repoPath("acme/web", "tags", "x"), put(two), "If-None-Match: *").
		fails(404, "MANIFEST_UNKNOWN") // of another repository
	require.Equal(t, 1, atOnce(16, func(int) bool {
		return c.do(t, "ann", "PUT", repoPath("acme/app", "tags", "new"), put(one), "If-None-Match: *").status == 200
	}))
	require.Equal(t, 1, atOnce(16, func(i int) bool {
		header := fmt.Sprintf("If-Match: %q", one)
		return c.do(t, "ann", "PUT", repoPath("acme/app", "tags", "new"), put(two), header).status == 200
	}))
}

// TestPutTagWithoutOverwrite: a caller with push access and without overwrite access moves no tag.
func TestPutTagWithoutOverwrite(t *testing.T) {
	refine, err := rules.New([]rules.Rule{{Who: rules.Who{Users: []string{"ann"}}, Repositories: []string{"**"},
		Actions: []auth.Action{auth.Overwrite}, Effect: rules.Deny}})
	require.NoError(t, err)
	c := newContentSite(t, refine)
	put := types.TagPut{Digest: imageTwo.Descriptor.Digest.String()}
	c.do(t, "ann", "PUT", repoPath("acme/app", "tags", "v1"), put, "If-Match: *").fails(409, "DENIED")
	c.do(t, "ann", "PUT", repoPath("acme/app", "tags", "v4"), put, "If-None-Match: *").want(200)
}

func TestDeleteTag(t *testing.T) {
	c := newContentSite(t)
	path := repoPath("acme/app", "tags", "v1")
	c.do(t, "ann", "DELETE", path, nil).fails(428, "PRECONDITION_REQUIRED")
	c.do(t, "ann", "DELETE", path, nil, fmt.Sprintf("If-Match: %q", imageTwo.Descriptor.Digest)).
		fails(412, "PRECONDITION_FAILED")
	a := c.do(t, "ann", "GET", path, nil).want(200)
	c.do(t, "ann", "DELETE", path, nil, a.ifMatch()).want(204)
	c.do(t, "ann", "DELETE", path, nil, a.ifMatch()).fails(404, "MANIFEST_UNKNOWN")
	c.do(t, "ann", "GET", repoPath("acme/app", "tags", "latest"), nil).want(200)
}
