package manifest_test

import (
	"encoding/json"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/manifest"
)

const (
	hexA = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of "{}"
	hexB = "b5b2b2c507a0944348e0303114d8d93aaaa081732b86451d9bce1f432a537bc7"
	hexC = "7c9d20b9b6cda1c58bc4f9d6c401386786f584437abbe87e58910f8a9a15386b"
)

// realManifests are what programs write, shortened to one element of each kind, with the fields
// that they add to the specification.
var realManifests = []struct{ name, mediaType, content string }{
	{"docker push", manifest.MediaTypeDockerManifest, `{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 1469,
   "digest": "sha256:` + hexB + `"},
   "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 2220,
   "digest": "sha256:` + hexC + `"}]
}`},
	{"docker push of Windows", manifest.MediaTypeDockerManifest, `{"schemaVersion":2,
"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":599,"digest":"sha256:` + hexB + `"},
"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","size":101145811,
"digest":"sha256:` + hexC + `",
"urls":["https://mcr.microsoft.com/v2/windows/nanoserver/blobs/sha256:` + hexC + `"]}]}`},
	{"docker manifest, with features of a platform", manifest.MediaTypeDockerManifestList, `{"schemaVersion":2,
"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[
{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":528,"digest":"sha256:` + hexB + `",
"platform":{"architecture":"amd64","os":"windows","os.version":"10.0.17763.2114","os.features":["win32k"],
"features":["sse4"]}},
{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":528,"digest":"sha256:` + hexC + `",
"platform":{"architecture":"arm","os":"linux","variant":"v7"}}]}`},
	{"buildkit, with an attestation", ocispec.MediaTypeImageIndex, `{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:` + hexB + `", "size": 675,
     "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"}},
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:` + hexC + `", "size": 566,
     "annotations": {"vnd.docker.reference.digest": "sha256:` + hexB + `",
     "vnd.docker.reference.type": "attestation-manifest"},
     "platform": {"architecture": "unknown", "os": "unknown"}}
  ]
}`},
	{"buildkit cache", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,
"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:` + hexB + `","size":32,
"annotations":{"buildkit/createdat":"2024-02-29T10:00:00Z","containerd.io/uncompressed":"sha256:` + hexC + `"}},
{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"sha256:` + hexC + `","size":1}]}`},
	{"cosign signature", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,
"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":233,"digest":"sha256:` + hexB + `"},
"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":246,"digest":"sha256:` + hexC + `",
"annotations":{"dev.cosignproject.cosign/signature":"MEUCIQ==",
"dev.sigstore.cosign/bundle":"{\"SignedEntryTimestamp\":\"MEUCIQ==\"}",
"dev.sigstore.cosign/certificate":"-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"}}]}`},
	{"cosign bundle", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,
"mediaType":"application/vnd.oci.image.manifest.v1+json",
"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json",
"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:` + hexA + `","size":2},
"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","digest":"sha256:` + hexC + `","size":4000}],
"annotations":{"dev.sigstore.bundle.content":"dsse-envelope","org.opencontainers.image.created":"2025-01-01T00:00:00Z"},
"subject":{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:` + hexB + `","size":1000}}`},
	{"helm chart with provenance", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,
"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:` + hexA + `","size":2},
"layers":[{"mediaType":"application/vnd.cncf.helm.chart.provenance.v1.prov","digest":"sha256:` + hexB + `","size":695},
{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"sha256:` + hexC + `","size":3647}],
"annotations":{"org.opencontainers.image.description":"A <chart> \u0026 more",
"org.opencontainers.image.version":"0.1.0"}}`},
	{"oras, with the empty config embedded", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,
"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.unknown.artifact.v1",
"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:` + hexA + `","size":2,"data":"e30="},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:` + hexB + `","size":12,
"annotations":{"org.opencontainers.image.title":"hällo.txt","io.deis.oras.content.unpack":"true"}}],
"annotations":{"org.opencontainers.image.created":"2024-08-01T00:00:00Z"}}`},
	{"oras artifact manifest", manifest.MediaTypeArtifactManifest, `{
"mediaType":"application/vnd.oci.artifact.manifest.v1+json",
"artifactType":"sbom/example","blobs":[{"mediaType":"application/json","digest":"sha256:` + hexB + `","size":6}],
"subject":{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"sha256:` + hexC + `",
"size":942},
"annotations":{"org.opencontainers.artifact.created":"2022-11-30T00:00:00Z"}}`},
	{"wasm component", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,
"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:` + hexB + `","size":600},
"layers":[{"mediaType":"application/wasm","digest":"sha256:` + hexC + `","size":90000}]}`},
	{"wasm, written by Rust with null for what is absent", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,
"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":null,
"config":{"mediaType":"application/vnd.wasm.config.v1+json","digest":"sha256:` + hexB + `","size":2,"urls":null,
"annotations":null,"data":null,
"platform":null,"artifactType":null},
"layers":[{"mediaType":"application/vnd.wasm.content.layer.v1+wasm","digest":"sha256:` + hexC + `","size":615,
"urls":[],"annotations":{}}],
"subject":null,"annotations":null}`},
	{"an index with null in its platforms", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[
{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + hexB + `","size":675,
"platform":{"architecture":"amd64","os":"linux","variant":null,"os.version":null,"os.features":null,"features":null}},
{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + hexC + `","size":675,
"platform":{"architecture":"","os":""}}]}`},
	{"CNAB bundle", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[
{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + hexB + `","size":188,
"annotations":{"io.cnab.manifest.type":"config"}},
{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"sha256:` + hexC + `","size":507,
"annotations":{"io.cnab.manifest.type":"invocation"}}],
"annotations":{"io.cnab.keywords":"[\"helloworld\",\"cnab\"]","io.cnab.runtime_version":"v1.0.0",
"org.opencontainers.artifactType":"application/vnd.cnab.manifest.v1"}}`},
	{"CNAB config, written with the deprecated media type", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,
"config":{"mediaType":"application/vnd.cnab.config.v1+json","digest":"sha256:` + hexA + `","size":2},"layers":null}`},
	{"containers/image with zstd:chunked", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,
"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:` + hexB + `","size":1024},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"sha256:` + hexC + `","size":4096,
"annotations":{"io.github.containers.zstd-chunked.manifest-checksum":"sha256:` + hexB + `",
"io.github.containers.zstd-chunked.manifest-position":"1000:200:400:1"}}]}`},
	{"fields of later specifications", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,
"mediaType":"application/vnd.oci.image.index.v1+json","version":{"x":[1,1]},
"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + hexB + `","size":7,
"newField":[{"Size":1,"size":2}],
"platform":{"architecture":"amd64","os":"linux","compatibilities":{"a":1},"os.build":22631}}]}`},
}

// TestParseAcceptsRealManifests parses what programs write, and checks that Go clients can read it.
func TestParseAcceptsRealManifests(t *testing.T) {
	for _, test := range realManifests {
		t.Run(test.name, func(t *testing.T) {
			require.True(t, json.Valid([]byte(test.content)))
			m, err := manifest.Parse(test.mediaType, []byte(test.content))
			require.NoError(t, err)
			require.NotEmpty(t, m.References)
			requireSameAsJSON(t, m, []byte(test.content))
			stored, err := manifest.ParseStored(test.mediaType, []byte(test.content))
			require.NoError(t, err)
			require.Equal(t, m, stored)
		})
	}
}
