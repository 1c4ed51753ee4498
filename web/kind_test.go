package web_test

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/web"
)

func TestKinds(t *testing.T) {
	const manifest = ocispec.MediaTypeImageManifest
	for _, row := range []struct {
		want, artifactType, mediaType string
		contents                      []string
	}{
		{"image", ocispec.MediaTypeImageConfig, manifest, nil},
		{"image", "", "application/vnd.docker.distribution.manifest.v2+json", nil},
		{"image", "application/vnd.docker.container.image.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
			[]string{"application/vnd.docker.image.rootfs.diff.tar.gzip"}},
		{"index", "", ocispec.MediaTypeImageIndex, nil},
		{"index", "", "application/vnd.docker.distribution.manifest.list.v2+json", nil},
		{"old", "", "application/vnd.docker.distribution.manifest.v1+prettyjws", nil},
		{"chart", "application/vnd.cncf.helm.config.v1+json", manifest, nil},
		{"signature", ocispec.MediaTypeImageConfig, manifest, []string{"application/vnd.dev.cosign.simplesigning.v1+json"}},
		{"signature", "application/vnd.dev.sigstore.bundle.v0.3+json", manifest, nil},
		{"signature", "application/vnd.cncf.notary.signature", manifest, nil},
		{"attestation", "", manifest, []string{ocispec.MediaTypeImageConfig, "application/vnd.in-toto+json"}},
		{"attestation", "application/vnd.docker.attestation.manifest.v1+json", manifest, nil},
		{"sbom", "application/spdx+json", manifest, nil},
		{"sbom", "application/vnd.cyclonedx+json", manifest, nil},
		{"report", "application/sarif+json", manifest, nil},
		{"wasm", "application/vnd.wasm.config.v0+json", manifest, nil},
		{"policy", "application/vnd.cncf.openpolicyagent.config.v1+json", manifest, nil},
		{"flux", "application/vnd.cncf.flux.config.v1+json", manifest, nil},
		{"cache", "application/vnd.buildkit.cacheconfig.v0", manifest, nil},
		{"model", "application/vnd.docker.container.image.v1+json", manifest, []string{"application/vnd.ollama.image.model"}},
		{"artifact", "application/vnd.example", manifest, nil},
		{"artifact", ocispec.MediaTypeEmptyJSON, manifest, nil},
		{"artifact", "<script>", "a/json", nil},
	} {
		require.Equal(t, row.want, web.KindOf(row.artifactType, row.mediaType, row.contents...), row)
	}
	for predicate, want := range map[string]string{
		"": "signature", "https://sigstore.dev/cosign/sign/v1": "signature", "https://slsa.dev/provenance/v1": "attestation",
		"https://spdx.dev/Document": "sbom", "https://cyclonedx.org/bom": "sbom",
		"https://cosign.sigstore.dev/attestation/vuln/v1": "report",
	} {
		require.Equal(t, want, web.KindOfReferrer(&types.Descriptor{MediaType: manifest,
			ArtifactType: "application/vnd.dev.sigstore.bundle.v0.3+json",
			Annotations:  map[string]string{"dev.sigstore.bundle.predicateType": predicate}}), predicate)
	}
}

func TestCleanCommand(t *testing.T) {
	hash := strings.Repeat("0123456789abcdef", 4)
	for text, want := range map[string]string{
		"":                                "",
		"COPY a /b # buildkit":            "COPY a /b",
		"RUN /bin/sh -c make # buildkit":  "RUN make",
		"/bin/sh -c #(nop)  CMD [\"sh\"]": `CMD ["sh"]`,
		"/bin/sh -c #(nop) ADD file:" + hash + " in / ": "ADD file:0123456789ab in /",
		"/bin/sh -c apk add \\\n\t curl":                `RUN apk add \ curl`,
		"|2 A=1 B=2 /bin/sh -c make":                    "RUN make",
		"RUN |1 A=1 /bin/sh -c make # buildkit":         "RUN make",
		"/bin/bash -o pipefail -c make":                 "RUN make",
		"cmd /S /C #(nop) CMD [\"cmd\"]":                `CMD ["cmd"]`,
		"cmd /S /C dir":                                 "RUN dir",
		"RUN /bin/sh script.sh":                         "RUN /bin/sh script.sh",
		"bazel build ...":                               "bazel build ...",
	} {
		require.Equal(t, want, web.CleanCommand(text), text)
	}
	require.Less(t, len(web.CleanCommand(strings.Repeat("|1 ", 1<<20))), 5000)
}

func TestWebURL(t *testing.T) {
	for _, good := range []string{"https://example.com", "http://example.com:8080/a?b=c#d", "https://例え.jp/"} {
		require.Equal(t, good, web.WebURL(good))
	}
	for _, bad := range append(hostile, "", "javascript:alert(1)", " JaVaScRiPt:alert(1)", "//example.com", "/path",
		"https://user@example.com", "https://a b", "https://", "https:example.com", "ftp://example.com",
		"https://example.com/\u202e", "https://example.com\\@evil.example", "data:text/html,x",
		"https://example.com/"+strings.Repeat("x", 3000)) {
		require.Empty(t, web.WebURL(bad), bad)
	}
}

func TestCommandLine(t *testing.T) {
	require.Equal(t, `/app -v 'a b' '' 'it'\''s' '$x'`, web.CommandLine("/app", "-v", "a b", "", "it's", "$x"))
	long := make([]string, 100_000)
	require.Less(t, len(web.CommandLine(long...)), 5000)
}
