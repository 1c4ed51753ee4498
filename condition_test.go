package registry_test

import (
	"context"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// preconditions is a registry with two images under tags of their own, and a third image that is
// not pushed yet.
type preconditions struct {
	*client
	one, two, three *registrytest.Content
}

func newPreconditions(t *testing.T) *preconditions {
	_, c := newRegistry(t, nil)
	p := &preconditions{c, registrytest.RandomImage(1, 1, 100), registrytest.RandomImage(2, 1, 100),
		registrytest.RandomImage(3, 1, 100)}
	p.push("a", p.one, "one", "other")
	p.push("a", p.two, "two")
	for _, b := range p.three.Blobs {
		p.pushBlob("a", b)
	}
	return p
}

func tagOf(c *registrytest.Content) string { return `"` + string(c.Descriptor.Digest) + `"` }

// put pushes an image to the path below manifests/.
func (p *preconditions) put(status int, path string, img *registrytest.Content, headers ...string) *response {
	p.t.Helper()
	return p.want(status, "PUT", "/v2/a/manifests/"+path, img.Manifest,
		append(headers, "Content-Type: "+img.Descriptor.MediaType)...)
}

// at requires that tags point at an image.
func (p *preconditions) at(img *registrytest.Content, tags ...string) {
	p.t.Helper()
	for _, tag := range tags {
		a := p.want(200, "GET", "/v2/a/manifests/"+tag, nil)
		require.Equal(p.t, string(img.Descriptor.Digest), a.Header.Get("Docker-Content-Digest"), tag)
	}
}

// TestPutOnCondition: a tag moves only from the manifest that the client expects.
func TestPutOnCondition(t *testing.T) {
	p := newPreconditions(t)
	one, two := tagOf(p.one), tagOf(p.two)
	for _, headers := range [][]string{
		{"If-Match: " + two}, {"If-Match: W/" + one}, {"If-Match: " + two + ", W/" + one}, {`If-Match: "*"`},
		{"If-Match: "}, {`If-Match: ""`},
		{"If-Match: " + two, `If-Match: "x"`}, {`If-Match: "x,` + string(p.one.Descriptor.Digest) + `"`},
		{"If-None-Match: *"}, {"If-None-Match: " + one}, {"If-None-Match: W/" + one},
		{"If-None-Match: " + two + `,,"x",` + one},
		{"If-None-Match: " + two, "If-None-Match: " + one}, {"If-Match: " + one, "If-None-Match: *"},
	} {
		a := p.put(412, "one", p.three, headers...)
		require.Equal(t, "PRECONDITION_FAILED", a.errors(t)[0].Code)
		require.JSONEq(t, `{"tag":"one"}`, string(a.errors(t)[0].Detail))
	}
	for _, header := range []string{
		"If-Match: " + string(p.one.Descriptor.Digest), `If-Match: "x`, "If-Match: w/" + one, "If-Match: *, " + one,
		"If-Match: " + one + " " + two,
		"If-None-Match: x", "If-None-Match: *,*", `If-None-Match: "a b"x`,
	} {
		p.put(400, "one", p.three, header)
	}
	for _, header := range []string{"If-Match: *", "If-Match: " + one} { // the tag does not exist
		p.put(412, "new", p.one, header)
	}
	p.at(p.one, "one", "other")
	p.at(p.two, "two")
	p.want(404, "GET", "/v2/a/manifests/"+string(p.three.Descriptor.Digest), nil)
	p.want(404, "GET", "/v2/a/manifests/new", nil)

	a := p.put(201, "one", p.three, "If-Match: "+two, "If-Match: "+one)
	require.Equal(t, tagOf(p.three), a.Header.Get("ETag"), "for the next If-Match")
	p.at(p.three, "one")
	p.put(412, "one", p.three, "If-None-Match: *") // the tag already points at it
	p.put(412, "one", p.three, "If-Match: "+one)   // a repeated request
	p.put(201, "one", p.two, "If-Match: *", "If-None-Match: "+one)
	p.put(201, "new", p.three, "If-None-Match: *")
	p.put(201, "newer", p.three, "If-None-Match: "+one)
	p.at(p.two, "one", "two")
	p.at(p.three, "new", "newer")
}

// TestPutByDigestOnCondition: the condition applies to all tags that are set, or to the manifest if
// there are none.
func TestPutByDigestOnCondition(t *testing.T) {
	p := newPreconditions(t)
	one, three := tagOf(p.one), string(p.three.Descriptor.Digest)
	for _, header := range []string{"If-Match: *", "If-Match: " + tagOf(p.three)} {
		p.put(412, three, p.three, header)
	}
	p.put(412, three+"?tag=one&tag=two", p.three, "If-Match: "+one)
	p.put(412, three+"?tag=one&tag=new", p.three, "If-Match: "+one)
	p.put(412, three+"?tag=new&tag=newer&tag=two", p.three, "If-None-Match: *")
	p.want(404, "GET", "/v2/a/manifests/"+three, nil)
	p.want(404, "GET", "/v2/a/manifests/new", nil)
	p.at(p.one, "one", "other")
	p.at(p.two, "two")

	p.put(201, three, p.three, "If-None-Match: *")
	a := p.put(412, three, p.three, "If-None-Match: *")
	require.JSONEq(t, `{"digest":"`+three+`"}`, string(a.errors(t)[0].Detail))
	p.put(201, three, p.three, "If-Match: *")
	a = p.put(201, three+"?tag=one&tag=other", p.three, "If-Match: "+one)
	require.Equal(t, []string{"one", "other"}, a.Header.Values("OCI-Tag"))
	p.put(201, three+"?tag=new&tag=newer", p.three, "If-None-Match: *")
	p.at(p.three, "one", "other", "new", "newer")
}

// TestDeleteOnCondition: a target that does not meet the condition is not deleted. A missing target
// gets 404, whatever the condition.
func TestDeleteOnCondition(t *testing.T) {
	p := newPreconditions(t)
	one, byDigest := tagOf(p.one), "/v2/a/manifests/"+string(p.one.Descriptor.Digest)
	layer := p.one.Blobs[len(p.one.Blobs)-1]
	blob, blobTag := "/v2/a/blobs/"+string(digest.FromBytes(layer)), `"`+string(digest.FromBytes(layer))+`"`
	for path, tag := range map[string]string{"/v2/a/manifests/one": one, byDigest: one, blob: blobTag} {
		for _, header := range []string{
			"If-Match: " + tagOf(p.two), "If-Match: W/" + tag, "If-None-Match: *", "If-None-Match: W/" + tag,
		} {
			p.refused(412, "PRECONDITION_FAILED", "DELETE", path, nil, header)
		}
		p.want(400, "DELETE", path, nil, "If-Match: x")
		p.want(200, "GET", path, nil)
	}
	p.at(p.one, "one", "other")
	for _, header := range []string{"If-Match: *", "If-Match: " + one, "If-None-Match: *"} {
		p.refused(404, "MANIFEST_UNKNOWN", "DELETE", "/v2/a/manifests/new", nil, header)
		p.refused(404, "MANIFEST_UNKNOWN", "DELETE", "/v2/a/manifests/"+sha256Zeros, nil, header)
		p.refused(404, "BLOB_UNKNOWN", "DELETE", "/v2/a/blobs/"+sha256Zeros, nil, header)
	}
	for _, path := range []string{"/v2/a/manifests/one", byDigest} {
		p.want(202, "DELETE", path, nil, "If-Match: "+one, "If-None-Match: "+tagOf(p.two))
		p.want(404, "GET", path, nil)
	}
	p.want(202, "DELETE", blob, nil, "If-Match: "+tagOf(p.two)+", "+blobTag)
	p.want(404, "GET", blob, nil)
}

// TestReadOnCondition: manifests and blobs compare entity tags in the same way, in any number of
// header lines.
func TestReadOnCondition(t *testing.T) {
	p := newPreconditions(t)
	layer := p.one.Blobs[len(p.one.Blobs)-1]
	for path, tag := range map[string]string{
		"/v2/a/manifests/one": tagOf(p.one), "/v2/a/manifests/" + string(p.one.Descriptor.Digest): tagOf(p.one),
		"/v2/a/blobs/" + string(digest.FromBytes(layer)): `"` + string(digest.FromBytes(layer)) + `"`,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			p.want(412, method, path, nil, "If-Match: W/"+tag)
			p.want(412, method, path, nil, "If-Match: x")
			p.want(412, method, path, nil, `If-Match: "x"`, `If-Match: "y"`)
			p.want(200, method, path, nil, `If-Match: "x"`, "If-Match: "+tag)
			p.want(200, method, path, nil, "If-Match: *")
			p.want(304, method, path, nil, `If-None-Match: "x"`, "If-None-Match: W/"+tag)
			p.want(304, method, path, nil, "If-Match: "+tag, "If-None-Match: "+tag)
			p.want(200, method, path, nil, "If-None-Match: x")
			for _, malformed := range []string{"", `"x", *`, tag + ", garbage", "*, *"} {
				p.want(412, method, path, nil, "If-Match: "+malformed)
				p.want(200, method, path, nil, "If-None-Match: "+malformed)
			}
		}
	}
	p.refused(412, "PRECONDITION_FAILED", "GET", "/v2/a/manifests/one", nil, "If-Match: W/"+tagOf(p.one))
}

// TestInterceptorSeesConditions: an Op contains the condition of its operation.
func TestInterceptorSeesConditions(t *testing.T) {
	var ops []*registry.Op
	s := registrytest.NewServer(t, &registry.Options{Interceptors: []registry.Interceptor{
		func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
			ops = append(ops, op)
			return next(ctx)
		},
	}})
	b := s.Registry.Backend(anybody)
	cond := &registry.Condition{Match: []digest.Digest{registry.AnyDigest}}
	_, err := b.PutManifest(t.Context(), "a", "", []byte(`{}`),
		&registry.PutOptions{If: cond, Tags: []registry.TagPut{{Name: "t", If: cond}}})
	require.Error(t, err)
	deletes := &registry.DeleteOptions{If: cond}
	for _, ref := range []reference.Ref{{Tag: "t"}, {Digest: sha256Zeros}} {
		require.ErrorIs(t, b.DeleteManifest(t.Context(), "a", ref, deletes), registry.ErrManifestUnknown)
	}
	require.ErrorIs(t, b.DeleteBlob(t.Context(), "a", sha256Zeros, deletes), registry.ErrBlobUnknown)
	require.ErrorIs(t, b.DeleteRepository(t.Context(), "a", deletes), registry.ErrUnsupported)
	require.Len(t, ops, 5)
	for _, op := range ops {
		require.Equal(t, cond, op.If, op.Kind)
	}
	require.Equal(t, cond, ops[0].Tags[0].If)
}
