package registry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// TestCheckMapsEachErrorOfPackageReference pins the Err… value of each kind of malformed text.
func TestCheckMapsEachErrorOfPackageReference(t *testing.T) {
	require.NoError(t, registry.CheckName("a/b"))
	require.NoError(t, registry.CheckTag("v1"))
	require.NoError(t, registry.CheckDigest(sha256Zeros))
	require.NoError(t, registry.CheckRef(reference.Ref{Tag: "v1"}))
	require.NoError(t, registry.CheckRef(reference.Ref{Digest: sha256Zeros}))

	for name, tt := range map[string]struct {
		err     error
		want    *registry.Error
		message string
	}{
		"name":            {registry.CheckName("../a"), registry.ErrNameInvalid, "invalid repository name"},
		"no name":         {registry.CheckName(""), registry.ErrNameInvalid, "invalid repository name"},
		"tag":             {registry.CheckTag("a/b"), registry.ErrTagInvalid, "invalid tag"},
		"digest":          {registry.CheckDigest("sha256:0"), registry.ErrDigestInvalid, "invalid digest"},
		"other algorithm": {registry.CheckDigest("md5:0"), registry.ErrDigestInvalid, "unsupported algorithm"},
		"tag of a ref":    {registry.CheckRef(reference.Ref{Tag: "a/b"}), registry.ErrTagInvalid, "invalid tag"},
		"digest of a ref": {registry.CheckRef(reference.Ref{Digest: "x"}), registry.ErrDigestInvalid, "invalid digest"},
		"empty ref":       {registry.CheckRef(reference.Ref{}), registry.ErrManifestUnknown, "neither"},
		"ref with two fields": {registry.CheckRef(reference.Ref{Tag: "v1", Digest: sha256Zeros}),
			registry.ErrManifestUnknown, "both"},
	} {
		t.Run(name, func(t *testing.T) {
			var e *registry.Error
			require.ErrorAs(t, tt.err, &e)
			require.Same(t, tt.want, e.Sentinel())
			require.Contains(t, e.Message(), tt.message)
		})
	}
}
