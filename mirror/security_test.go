package mirror_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
)

// TestSecurity has a row for each class of security bug of other registries that concerns mirrors.
// Logins and redirects are tested in client/login and mirror/internal/upstream.
func TestSecurity(t *testing.T) {
	for _, row := range []struct {
		class string
		test  func(t *testing.T)
	}{
		{"a mirror that dials what the client names", TestUnknownNamespaceIsNeverDialled},
		{"the user's password for another registry ends up in logs or upstream", TestCredentialsStayOut},
		{"private content served to a caller whose right has ended", TestPassThroughProofsEnd},
		{"private content served to another caller", TestPassThrough},
		{"one caller's credentials used for another", TestPassThroughCallersAreApart},
		{"wrong bytes kept as a blob", testWrongBlobs},
		{"wrong bytes kept as a manifest", TestWrongContentIsNeverServed},
		{"blobs of other repositories through deduplication", TestMembershipIsTheAccessCheck},
		{"a mount without the right to pull", TestMountFromAMirroredRepository},
		{"rules about one name, content under another", TestAuthorizerSeesTheMappedName},
		{"rules for manifests that blobs and lists forget", TestRulesHoldForEverything},
		{"content served before it was admitted", TestAdmitReadsThroughTheMirror},
		{"foreign layers fetched by the server", TestForeignLayersAreNotFetched},
		{"pushes into what is mirrored", TestMirroredRepositoriesAreReadOnly},
		{"anonymous callers make the server fetch", TestMayFetch},
		{"mirrors that ask each other for ever", TestLoopsEnd},
	} {
		t.Run(row.class, row.test)
	}
}

// testWrongBlobs: a blob with wrong bytes never reaches a client as a whole, and is never stored.
func testWrongBlobs(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"flipped at the end": upstreamtest.Flip(49_999), "flipped": upstreamtest.Flip(10), "short": upstreamtest.Short(100),
		"long": upstreamtest.Long(100), "encoded": upstreamtest.Gzip(), "other": upstreamtest.Replace(random(50_000)),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.TagTTL = -1 })
			base := r.serve(nil)
			_, man := r.image("v1")
			d := man.Layers[1].Digest // 50,000 bytes
			_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
			require.NoError(t, err)
			r.up.Break(upstreamtest.Match{Kind: upstreamtest.Blob}, fault)
			for range 3 {
				req, err := http.NewRequestWithContext(t.Context(), "GET", base+"/v2/"+repo+"/blobs/"+string(d), nil)
				require.NoError(t, err)
				res, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					continue // the connection was cut before the header
				}
				_, err = io.Copy(io.Discard, res.Body)
				require.True(t, err != nil || res.StatusCode >= 500, "%d %v", res.StatusCode, err)
				require.NoError(t, res.Body.Close())
			}
			r.settle()
			_, err = r.store.StatBlob(t.Context(), repo, d, nil)
			require.ErrorIs(t, err, registry.ErrBlobUnknown)
		})
	}
}
