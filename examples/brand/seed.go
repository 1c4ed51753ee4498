package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

// seed pushes an image, so that the page is not empty at the first start.
func seed(ctx context.Context, b registry.Backend) error {
	const repo = "orchard/welcome"
	blob := func(mediaType, content string) (ocispec.Descriptor, error) {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
		_, err := registry.PushBlob(ctx, b, repo, d.Digest, strings.NewReader(content))
		return d, err
	}
	config, err := blob(ocispec.MediaTypeImageConfig, `{"architecture":"amd64","os":"linux",`+
		`"config":{"Entrypoint":["/welcome"]},"history":[{"created_by":"COPY welcome /"}]}`)
	if err != nil {
		return err
	}
	layer, err := blob(ocispec.MediaTypeImageLayer, "no more than an example")
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		return err
	}
	_, err = b.PutManifest(ctx, repo, ocispec.MediaTypeImageManifest, manifest,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}, {Name: "latest"}}})
	return err
}
