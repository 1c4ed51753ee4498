package client_test

import (
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// TestConditionIsSent checks the headers of writes with a condition.
func TestConditionIsSent(t *testing.T) {
	var got []http.Header
	status := http.StatusCreated
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header)
		for _, tag := range r.URL.Query()["tag"] {
			w.Header().Add("OCI-Tag", tag)
		}
		w.WriteHeader(status)
	})
	c := newClient(t, url, &client.Options{Conditional: true})
	img := registrytest.RandomImage(1, 1, 10)
	one, two := digest.FromString("1"), digest.FromString("2")
	put := func(opts *registry.PutOptions) error {
		_, err := c.PutManifest(t.Context(), "a", img.Descriptor.MediaType, img.Manifest, opts)
		return err
	}
	tag := func(names ...string) func(cond *registry.Condition) error {
		return func(cond *registry.Condition) error {
			o := &registry.PutOptions{}
			for _, n := range names {
				o.Tags = append(o.Tags, registry.TagPut{Name: n, If: cond})
			}
			return put(o)
		}
	}
	deletes := func(cond *registry.Condition) *registry.DeleteOptions { return &registry.DeleteOptions{If: cond} }
	writes := map[string]func(cond *registry.Condition) error{
		"push":           func(cond *registry.Condition) error { return put(&registry.PutOptions{If: cond}) },
		"push by tag":    tag("x"),
		"push with tags": tag("x", "y"),
		"delete a tag": func(cond *registry.Condition) error {
			return c.DeleteManifest(t.Context(), "a", reference.Ref{Tag: "x"}, deletes(cond))
		},
		"delete a digest": func(cond *registry.Condition) error {
			return c.DeleteManifest(t.Context(), "a", reference.Ref{Digest: one}, deletes(cond))
		},
		"delete a blob": func(cond *registry.Condition) error { return c.DeleteBlob(t.Context(), "a", one, deletes(cond)) },
	}
	for name, write := range writes {
		for _, test := range []struct {
			cond           *registry.Condition
			match, noMatch []string
		}{
			{nil, nil, nil},
			{&registry.Condition{Match: []digest.Digest{one, two}}, []string{`"` + string(one) + `"`, `"` + string(two) + `"`},
				nil},
			{&registry.Condition{Match: []digest.Digest{one, registry.AnyDigest}}, []string{"*"}, nil},
			{&registry.Condition{Match: []digest.Digest{"W/\"x\r\n"}, NoneMatch: []digest.Digest{registry.AnyDigest}},
				[]string{`""`}, []string{"*"}},
		} {
			got, status = nil, map[bool]int{true: http.StatusCreated, false: http.StatusAccepted}[name[0] == 'p']
			require.NoError(t, write(test.cond), name)
			require.Len(t, got, 1, name)
			require.Equal(t, test.match, got[0]["If-Match"], name)
			require.Equal(t, test.noMatch, got[0]["If-None-Match"], name)
		}
		status = http.StatusPreconditionFailed
		require.ErrorIs(t, write(&registry.Condition{Match: []digest.Digest{one}}), registry.ErrPreconditionFailed, name)
	}
	got = nil
	mixed := &registry.PutOptions{Tags: []registry.TagPut{{Name: "x",
		If: &registry.Condition{Match: []digest.Digest{one}}}, {Name: "y"}}}
	require.ErrorIs(t, put(mixed), registry.ErrUnsupported, "one request cannot say it")
	mixed.Tags, mixed.If = []registry.TagPut{{Name: "x"}}, &registry.Condition{Match: []digest.Digest{one}}
	require.ErrorIs(t, put(mixed), registry.ErrUnsupported)
	c = newClient(t, url, nil)
	for name, write := range writes {
		require.ErrorIs(t, write(&registry.Condition{Match: []digest.Digest{one}}), registry.ErrUnsupported, name)
	}
	require.Empty(t, got, "a registry that might ignore the condition is not asked")
}

// TestConditionOfTagsIsOneRequest checks that conditional tags are not sent one by one to a
// registry that does not set several tags at once.
func TestConditionOfTagsIsOneRequest(t *testing.T) {
	requests := 0
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.WriteHeader(http.StatusCreated)
	}), &client.Options{Conditional: true})
	img := registrytest.RandomImage(1, 1, 10)
	cond := &registry.Condition{Match: []digest.Digest{registry.AnyDigest}}
	_, err := c.PutManifest(t.Context(), "a", img.Descriptor.MediaType, img.Manifest, &registry.PutOptions{
		Tags: []registry.TagPut{{Name: "x", If: cond}, {Name: "y", If: cond}},
	})
	require.ErrorIs(t, err, registry.ErrUnsupported)
	require.Equal(t, 1, requests)
}
