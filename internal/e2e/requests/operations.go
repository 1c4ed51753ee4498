package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// operation is one thing that clients do, measured by itself.
type operation struct {
	name   string
	limit  int  // requests to the store, besides the parts of larger objects
	times  int  // the requests are those of this many equal steps; 0 is 1
	ours   bool // the peer has no such thing
	cold   bool // by a process that has just been started
	before func(ctx context.Context, c *harness.Client) error
	do     func(ctx context.Context, c *harness.Client) error
}

// image is an image that is pushed and pulled.
type image struct {
	repo     string
	blobs    [][]byte
	manifest []byte
}

func newImage(repo string, seed uint64) *image {
	i := &image{repo: repo}
	for n := range uint64(4) { // the first is the config
		i.blobs = append(i.blobs, harness.RandomBytes(100*seed+n, 4<<10))
	}
	i.manifest = harness.Manifest(fmt.Sprint("image ", seed), i.blobs...)
	return i
}

// exists asks for a blob as docker does before it uploads one.
func exists(ctx context.Context, c *harness.Client, repo string, b []byte, want int) error {
	_, err := c.Do(ctx, want, http.MethodHead, "/v2/"+repo+"/blobs/"+digest.FromBytes(b).String(), nil, nil)
	return err
}

// upload pushes a blob as docker does.
func upload(ctx context.Context, c *harness.Client, repo string, b []byte) error {
	return c.PushAsDocker(ctx, repo, digest.FromBytes(b), bytes.NewReader(b))
}

// tag pushes the manifest under a tag.
func (i *image) tag(ctx context.Context, c *harness.Client, tag string) error {
	return c.PutManifest(ctx, i.repo, tag, imagespec.MediaTypeImageManifest, i.manifest)
}

func (i *image) push(ctx context.Context, c *harness.Client) error {
	for _, b := range i.blobs {
		if err := exists(ctx, c, i.repo, b, http.StatusNotFound); err != nil {
			return err
		}
		if err := upload(ctx, c, i.repo, b); err != nil {
			return err
		}
	}
	return i.tag(ctx, c, "latest")
}

// pull fetches the image as containerd does.
func (i *image) pull(ctx context.Context, c *harness.Client) error {
	if _, err := c.Do(ctx, http.StatusOK, http.MethodHead, "/v2/"+i.repo+"/manifests/latest", harness.Accept(),
		nil); err != nil {
		return err
	}
	d := digest.FromBytes(i.manifest)
	if err := c.PullManifest(ctx, i.repo, d.String(), d); err != nil {
		return err
	}
	for _, b := range i.blobs {
		if err := c.PullBlob(ctx, i.repo, digest.FromBytes(b)); err != nil {
			return err
		}
	}
	return nil
}

const (
	layerSize = 64 << 20
	chunkSize = 8 << 20
	manyTags  = 300
	referrers = 50
)

// operations returns what is measured, in its order: later ones use what earlier ones have pushed.
// The limits are those that the table in docs/storage-s3.md promises.
func operations() []operation {
	img, layer, chunked := newImage("requests/image", 1), harness.RandomBytes(2, layerSize),
		harness.RandomBytes(3, layerSize)
	tagged, subject := newImage("requests/tagged", 4), newImage("requests/subject", 5)
	repo, unused := img.repo, harness.RandomBytes(6, 4<<10)
	other := &image{repo: repo, blobs: img.blobs, manifest: harness.Manifest("another", img.blobs...)}
	var location string
	offset := int64(0)
	patch := func(ctx context.Context, c *harness.Client) (err error) {
		for end := offset + int64(len(chunked)); offset < end; offset += chunkSize {
			at := offset % int64(len(chunked))
			if location, err = c.Patch(ctx, location, at, chunked[at:at+chunkSize]); err != nil {
				return err
			}
		}
		return nil
	}
	attach := func(ctx context.Context, c *harness.Client, n int) error {
		return c.PutManifest(ctx, subject.repo, digest.FromBytes(referrer(subject, n)).String(),
			imagespec.MediaTypeImageManifest, referrer(subject, n))
	}
	list := func(ctx context.Context, c *harness.Client) error {
		_, err := c.Do(ctx, http.StatusOK, http.MethodGet,
			"/v2/"+subject.repo+"/referrers/"+digest.FromBytes(subject.manifest).String(), nil, nil)
		return err
	}
	listOthers := func(ctx context.Context, c *harness.Client) error {
		path := "/v2/" + subject.repo + "/referrers/" + digest.FromBytes(subject.manifest).String() +
			"?artifactType=none/such"
		_, err := c.Do(ctx, http.StatusOK, http.MethodGet, path, nil, nil)
		return err
	}
	mount := func(b []byte) func(ctx context.Context, c *harness.Client) error {
		return func(ctx context.Context, c *harness.Client) error {
			_, err := c.Do(ctx, http.StatusCreated, http.MethodPost,
				fmt.Sprintf("/v2/requests/mounted/blobs/uploads/?mount=%s&from=%s", digest.FromBytes(b), repo), nil, nil)
			return err
		}
	}
	return []operation{
		{name: "push of config + 3 layers of 4 KiB, new repository", limit: 30, do: img.push},
		{name: "the same again under one more tag", limit: 10, do: func(ctx context.Context, c *harness.Client) error {
			for _, b := range img.blobs {
				if err := exists(ctx, c, repo, b, http.StatusOK); err != nil {
					return err
				}
			}
			return img.tag(ctx, c, "again")
		}},
		{name: "HEAD manifest by tag", limit: 1, do: func(ctx context.Context, c *harness.Client) error {
			_, err := c.Do(ctx, http.StatusOK, http.MethodHead, "/v2/"+repo+"/manifests/latest", harness.Accept(), nil)
			return err
		}},
		{name: "pull of that image, cold", limit: 10, cold: true, do: img.pull},
		{name: "pull of that image, warm", limit: 6, do: img.pull},
		{name: "64 MiB blob by POST, PATCH, PUT, besides its parts", limit: 11,
			do: func(ctx context.Context, c *harness.Client) error {
				return upload(ctx, c, repo, layer)
			}},
		{name: "GET of a range of it", limit: 2, do: func(ctx context.Context, c *harness.Client) error {
			_, err := c.Do(ctx, http.StatusPartialContent, http.MethodGet,
				"/v2/"+repo+"/blobs/"+digest.FromBytes(layer).String(),
				http.Header{"Range": {"bytes=5000000-5004095"}}, nil)
			return err
		}},
		{name: "PATCH of 8 MiB, each of eight", limit: 3, times: layerSize / chunkSize,
			before: func(ctx context.Context, c *harness.Client) (err error) {
				offset = 0
				location, err = c.Begin(ctx, repo)
				return err
			}, do: patch},
		{name: "mount", limit: 6, do: mount(layer)},
		{name: "mount of a small blob", limit: 4, do: mount(img.blobs[0])},
		{name: "one more tag on a known manifest", limit: 5, cold: true,
			do: func(ctx context.Context, c *harness.Client) error {
				return img.tag(ctx, c, "third")
			}},
		{name: "move of a tag to another known manifest", limit: 9, cold: true,
			before: func(ctx context.Context, c *harness.Client) error {
				return other.tag(ctx, c, digest.FromBytes(other.manifest).String())
			}, do: func(ctx context.Context, c *harness.Client) error {
				return other.tag(ctx, c, "third")
			}},
		{name: "page of 100 tags from the middle of 300", limit: 1,
			before: func(ctx context.Context, c *harness.Client) error {
				if err := tagged.push(ctx, c); err != nil {
					return err
				}
				one := *tagged
				one.manifest = harness.Manifest("one of many", tagged.blobs...)
				for n := range manyTags {
					if err := one.tag(ctx, c, fmt.Sprintf("t%03d", n)); err != nil {
						return err
					}
				}
				return nil
			}, do: func(ctx context.Context, c *harness.Client) error {
				r, err := c.Do(ctx, http.StatusOK, http.MethodGet, "/v2/"+tagged.repo+"/tags/list?n=100&last=t100", nil, nil)
				if err == nil && bytes.Count(r.Body, []byte(`"t`)) < 100 {
					err = fmt.Errorf("not a page of 100 tags: %.200s", r.Body)
				}
				return err
			}},
		{name: "delete of a manifest with one tag among 300", limit: 12,
			do: func(ctx context.Context, c *harness.Client) error {
				_, err := c.Do(ctx, http.StatusAccepted, http.MethodDelete,
					"/v2/"+tagged.repo+"/manifests/"+digest.FromBytes(tagged.manifest).String(), nil, nil)
				return err
			}},
		{name: "push of a referrer", limit: 8, before: subject.push, do: func(ctx context.Context, c *harness.Client) error {
			return attach(ctx, c, 0)
		}},
		{name: "referrers of 50, cold", limit: 1 + referrers, ours: true, cold: true,
			before: func(ctx context.Context, c *harness.Client) error {
				for n := range referrers {
					if err := attach(ctx, c, n); err != nil {
						return err
					}
				}
				return nil
			}, do: list},
		{name: "referrers of 50, warm", limit: 1, ours: true, do: list},
		{name: "referrers of 50, of another type, cold", limit: 2, ours: true, cold: true, do: listOthers},
		{name: "delete of a blob", limit: 6, ours: true, cold: true,
			before: func(ctx context.Context, c *harness.Client) error {
				return upload(ctx, c, repo, unused)
			}, do: func(ctx context.Context, c *harness.Client) error {
				_, err := c.Do(ctx, http.StatusAccepted, http.MethodDelete,
					"/v2/"+repo+"/blobs/"+digest.FromBytes(unused).String(), nil, nil)
				return err
			}},
		{name: "one more tag on a known image of 4 blobs, the first after a delete of a blob", limit: 11, ours: true,
			cold: true,
			do:   func(ctx context.Context, c *harness.Client) error { return img.tag(ctx, c, "fourth") }},
		{name: "the next", limit: 5, ours: true, cold: true, do: func(ctx context.Context,
			c *harness.Client) error {
			return img.tag(ctx, c, "fifth")
		}},
	}
}

// referrer is the manifest of an artifact that refers to the image.
func referrer(subject *image, n int) []byte {
	return harness.Referrer(fmt.Sprint("referrer ", n), subject.manifest, subject.blobs[:2]...)
}
