package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// bench is a registry behind a loopback server, and the client that drives it. Each operation is
// one or more requests on a kept-alive connection. The results include client and server.
type bench struct {
	*testing.B
	url     string
	backend registry.Backend
}

// onStorages runs a benchmark over each native driver.
func onStorages(b *testing.B, run func(b *bench)) {
	for _, name := range []string{"memory", "disk"} {
		b.Run(name, func(b *testing.B) {
			driver, err := openDriver(b, name)
			require.NoError(b, err)
			store, err := storage.New(b.Context(), driver, nil)
			require.NoError(b, err)
			reg, err := registry.New(store, nil)
			require.NoError(b, err)
			server := httptest.NewServer(reg)
			defer server.Close()
			b.ReportAllocs()
			run(&bench{B: b, url: server.URL, backend: reg.Backend(auth.Identity{})})
		})
	}
}

func openDriver(b *testing.B, name string) (driver.Driver, error) {
	if name == "memory" {
		return memory.New(nil), nil
	}
	return disk.New(b.TempDir(), nil)
}

// do sends one request and requires its status. It returns the Location of the response.
func (b *bench) do(method, path string, body []byte, status int, header ...string) string {
	url := path
	if strings.HasPrefix(path, "/") {
		url = b.url + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	require.NoError(b, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(b, err)
	require.NoError(b, resp.Body.Close())
	if resp.StatusCode != status {
		b.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	return resp.Header.Get("Location")
}

// push uploads a blob in the way of docker.
func (b *bench) push(repo string, content []byte) digest.Digest {
	d := digest.FromBytes(content)
	b.do("HEAD", "/v2/"+repo+"/blobs/"+string(d), nil, 404)
	at := b.do("POST", "/v2/"+repo+"/blobs/uploads/", nil, 202)
	at = b.do("PATCH", at, content, 202)
	b.do("PUT", at+"?digest="+string(d), nil, 201)
	return d
}

// pushImage pushes an image of a config and a layer, both new, and returns the digest.
func (b *bench) pushImage(repo, tag string, n int) digest.Digest {
	config, layer := fmt.Appendf(nil, `{"n":%d}`, n), bytes.Repeat(fmt.Appendf(nil, "%08d", n), 512)
	content, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: b.push(repo, config),
			Size: int64(len(config))},
		Layers: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayer, Digest: b.push(repo, layer),
			Size: int64(len(layer))}},
	})
	require.NoError(b, err)
	b.do("PUT", "/v2/"+repo+"/manifests/"+tag, content, 201, "Content-Type", ocispec.MediaTypeImageManifest)
	return digest.FromBytes(content)
}

func BenchmarkManifest(b *testing.B) {
	for _, method := range []string{"HEAD", "GET"} {
		for _, by := range []string{"tag", "digest"} {
			b.Run(method+"/"+by, func(b *testing.B) {
				onStorages(b, func(b *bench) {
					ref := string(b.pushImage("r", "latest", 1))
					if by == "tag" {
						ref = "latest"
					}
					for b.Loop() {
						b.do(method, "/v2/r/manifests/"+ref, nil, 200)
					}
				})
			})
		}
	}
}

func BenchmarkBlob(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 16 << 20} {
		content := bytes.Repeat([]byte{7}, size)
		run := func(name, method string, status int, header ...string) {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				onStorages(b, func(b *bench) {
					path := "/v2/r/blobs/" + string(b.push("r", content))
					if method == "GET" && status == 200 {
						b.SetBytes(int64(size))
					}
					for b.Loop() {
						b.do(method, path, nil, status, header...)
					}
				})
			})
		}
		run("HEAD", "HEAD", 200)
		run("GET", "GET", 200)
		run("range", "GET", 206, "Range", "bytes=1000-1999")
	}
}

func BenchmarkPushImage(b *testing.B) {
	onStorages(b, func(b *bench) {
		n := 0
		for b.Loop() {
			n++
			b.pushImage("r", "latest", n)
		}
	})
}

// BenchmarkUpload uploads the same blob repeatedly. Every upload but the first finds the blob
// stored and discards its bytes at the end.
func BenchmarkUpload(b *testing.B) {
	onStorages(b, func(b *bench) {
		content := make([]byte, 64<<20)
		put := "?digest=" + string(digest.FromBytes(content))
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			at := b.do("POST", "/v2/r/blobs/uploads/", nil, 202)
			b.do("PUT", b.do("PATCH", at, content, 202)+put, nil, 201)
		}
	})
}

func BenchmarkMount(b *testing.B) {
	onStorages(b, func(b *bench) {
		d := string(b.push("from", bytes.Repeat([]byte{1}, 100_000)))
		n := 0
		for b.Loop() {
			n++
			b.do("POST", fmt.Sprintf("/v2/to%d/blobs/uploads/?mount=%s&from=from", n, d), nil, 201)
		}
	})
}

func BenchmarkTags(b *testing.B) {
	for _, total := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(total), func(b *testing.B) {
			onStorages(b, func(b *bench) {
				b.pushImage("r", "first", 1)
				m, err := b.backend.GetManifest(b.Context(), "r", reference.Ref{Tag: "first"})
				require.NoError(b, err)
				for at := 0; at < total; at += registry.MaxPushTags {
					opts := &registry.PutOptions{}
					for i := at; i < min(at+registry.MaxPushTags, total); i++ {
						opts.Tags = append(opts.Tags, registry.TagPut{Name: fmt.Sprintf("v%06d", i)})
					}
					_, err := b.backend.PutManifest(b.Context(), "r", m.Descriptor.MediaType, m.Content, opts)
					require.NoError(b, err)
				}
				path := fmt.Sprintf("/v2/r/tags/list?n=100&last=v%06d", total/2)
				for b.Loop() {
					b.do("GET", path, nil, 200)
				}
			})
		})
	}
}

// BenchmarkReferrers lists all referrers of a subject.
func BenchmarkReferrers(b *testing.B) {
	for _, total := range []int{20, 200} {
		b.Run(fmt.Sprint(total), func(b *testing.B) {
			onStorages(b, func(b *bench) {
				subject := b.pushImage("r", "latest", 1)
				b.push("r", []byte("{}"))
				for n := range total {
					content, err := json.Marshal(ocispec.Manifest{
						Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
						ArtifactType: "application/vnd.example.signature", Config: ocispec.DescriptorEmptyJSON,
						Layers:      []ocispec.Descriptor{ocispec.DescriptorEmptyJSON},
						Subject:     &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 500},
						Annotations: map[string]string{ocispec.AnnotationCreated: "2026-01-01T00:00:00Z", "n": fmt.Sprint(n)},
					})
					require.NoError(b, err)
					b.do("PUT", "/v2/r/manifests/"+string(digest.FromBytes(content)), content, 201,
						"Content-Type", ocispec.MediaTypeImageManifest)
				}
				path := "/v2/r/referrers/" + string(subject)
				for b.Loop() {
					b.do("GET", path, nil, 200)
				}
			})
		})
	}
}
