package hook_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/hook"
	"github.com/registrykit/registry/registrytest"
)

// TestSignedPolicyOverHTTP checks the policy of the example for every way to read a manifest: by
// tag and by digest, with GET and HEAD, an index and its children, the signature itself, for
// exempt callers and others.
func TestSignedPolicyOverHTTP(t *testing.T) {
	var policy signed
	s := registrytest.NewServer(t, &registry.Options{
		Authenticator: auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
			name, _, _ := r.BasicAuth()
			return auth.Identity{Name: name}, nil
		}),
		Interceptors: []registry.Interceptor{
			hook.Before(func(ctx context.Context, op *registry.Op) error { return policy.admit(ctx, op) }, &hook.BeforeOptions{
				Kinds:     []registry.OpKind{registry.OpGetManifest, registry.OpStatManifest},
				AfterRead: true,
			}),
		},
	})
	policy = signed{store: s.Store, exempt: []string{"signer"}}

	child := push(s.Store, "app", "", layer, nil)
	index := pushIndex(t, s.Store, "index", child)
	disguised := push(s.Store, "app", "sha256-"+strings.Repeat("0", 64)+".sig", layer, nil)

	status := func(want int, name, ref string) {
		t.Helper()
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/v2/app/manifests/"+ref, nil)
			require.NoError(t, err)
			req.SetBasicAuth(name, "")
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, want, res.StatusCode, "%s %s %s", method, ref, body)
			if want == http.StatusForbidden && method == http.MethodGet {
				require.Contains(t, string(body), "the image has no signature")
			}
		}
	}
	refs := []string{"index", string(index.Digest), string(child.Digest), string(disguised.Digest)}
	for _, ref := range refs {
		status(403, "ann", ref)
		status(200, "signer", ref)
	}
	status(404, "ann", "unknown")

	push(s.Store, "app", "sha256-"+index.Digest.Encoded()+".sig", layer, nil) // not a signature
	status(403, "ann", "index")
	push(s.Store, "app", "sha256-"+index.Digest.Encoded()+".sig", signature, nil)
	status(200, "ann", "index")
	status(200, "ann", string(index.Digest))
	status(200, "ann", "sha256-"+index.Digest.Encoded()+".sig")
	status(403, "ann", string(child.Digest))
	push(s.Store, "app", "", layer, &child) // a referrer that is no signature
	status(403, "ann", string(child.Digest))
	referrer := push(s.Store, "app", "", signature, &child)
	status(200, "ann", string(child.Digest))
	status(200, "ann", string(referrer.Digest))
}

// pushIndex pushes an index with one manifest.
func pushIndex(t *testing.T, b registry.Backend, tag string, child ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	content, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{child},
	})
	require.NoError(t, err)
	res, err := b.PutManifest(t.Context(), "app", ocispec.MediaTypeImageIndex, content,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}})
	require.NoError(t, err)
	return res.Descriptor
}
