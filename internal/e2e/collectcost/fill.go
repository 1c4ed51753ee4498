package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/registry/storage/driver"
)

const (
	perImage = 10  // blobs; the last of them is unreferenced
	perRepo  = 100 // images in each repository
	blobSize = 8   // its content is its number
)

// fill writes the given number of blobs, in images of repositories.
func fill(ctx context.Context, d driver.Driver, blobs int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for image := range blobs / perImage {
		g.Go(func() error { return fillImage(ctx, d, fmt.Sprintf("repo-%05d", image/perRepo), image) })
	}
	return g.Wait()
}

func fillImage(ctx context.Context, d driver.Driver, repo string, image int) error {
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for i := range perImage {
		var seed [8]byte
		binary.BigEndian.PutUint64(seed[:], uint64(image*perImage+i))
		dgst := digest.FromBytes(seed[:]) // the content, which scrubs compare with the digest
		sum := sha256.Sum256(append(seed[:], "data"...))
		name := hex.EncodeToString(sum[:16]) + "." + hex.EncodeToString(sum[16:24])
		link := map[string]any{
			"state": "live", "nonce": name, "size": blobSize, "sum": 0,
			"segments": []map[string]any{{"name": name, "size": blobSize}},
		}
		if err := put(ctx, d, "data/"+name[:2]+"/"+name, nil, seed[:]); err != nil {
			return err
		}
		for key, record := range map[string]any{
			"r/" + repo + "/b/sha256/" + dgst.Encoded():                          link,
			"b/sha256/" + dgst.Encoded()[:2] + "/" + dgst.Encoded() + "/" + repo: nil,
		} {
			if err := put(ctx, d, key, record, nil); err != nil {
				return err
			}
		}
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: dgst, Size: blobSize}
		switch {
		case i == 0:
			desc.MediaType = ocispec.MediaTypeImageConfig
			m.Config = desc
		case i < perImage-1:
			m.Layers = append(m.Layers, desc)
		}
	}
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	dgst := digest.FromBytes(content)
	header := map[string]any{
		"state": "ok", "nonce": dgst.Encoded(), "mediaType": m.MediaType, "size": len(content),
		"sum": crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)),
	}
	tag := fmt.Sprintf("v%d", image%perRepo)
	entry := map[string]any{"nonce": tag, "descriptor": ocispec.Descriptor{MediaType: m.MediaType, Digest: dgst,
		Size: int64(len(content))}}
	for _, o := range []struct {
		key     string
		record  any
		content []byte
	}{
		{"r/" + repo + "/m/sha256/" + dgst.Encoded(), header, content},
		{"r/" + repo + "/x/sha256/" + dgst.Encoded() + "/" + tag, map[string]any{"nonce": tag}, nil},
		{"r/" + repo + "/t/" + tag, entry, nil},
		{"c/" + repo, map[string]any{"nonce": tag}, nil},
	} {
		if err := put(ctx, d, o.key, o.record, o.content); err != nil {
			return err
		}
	}
	return nil
}

// put writes a record: a line of JSON, followed by the content.
func put(ctx context.Context, d driver.Driver, key string, record any, content []byte) error {
	b := content
	if record != nil {
		line, err := json.Marshal(record)
		if err != nil {
			return err
		}
		b = append(append(line, '\n'), content...)
	}
	_, err := d.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{Durability: driver.Relaxed, Size: int64(len(b))})
	return err
}
