package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// operation is one measured operation of a client.
type operation struct {
	name   string
	limit  int  // maximum of requests to the store, without the parts of larger objects
	times  int  // number of equal steps; 0 means 1
	ours   bool // the peer does not support it
	cold   bool // a process that has just started performs it
	before func(ctx context.Context, c *harness.Client) error
	do     func(ctx context.Context, c *harness.Client) error
}

// image is an image to push and pull.
type image struct {
	repo     string
	blobs    [][]byte
	manifest []byte
}

func newImage(repo string, seed uint64) *image {
	i := &image{repo: repo}
	for n := range uint64(4) { // the first blob is the config
		i.blobs = append(i.blobs, harness.RandomBytes(100*seed+n, 4<<10))
	}
	i.manifest = harness.Manifest(fmt.Sprint("image ", seed), i.blobs...)
	return i
}

// exists sends the HEAD request that docker sends before it uploads a blob.
func exists(ctx context.Context, c *harness.Client, repo string, b []byte, want int) error {
	_, err := c.Do(ctx, want, http.MethodHead, "/v2/"+repo+"/blobs/"+digest.FromBytes(b).String(), nil, nil)
	return err
}

// upload pushes a blob in the way of docker.
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

// pull fetches the image in the way of containerd.
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

// workload is the content that the operations push and read. Later operations use content of
// earlier ones.
type workload struct {
	img, other      *image // in one repository
	tagged, subject *image
	layer, chunked  []byte
	unused          []byte

	// location is the location of the upload in progress.
	location string
	offset   int64
}

func newWorkload() *workload {
	img := newImage("requests/image", 1)
	return &workload{
		img:     img,
		other:   &image{repo: img.repo, blobs: img.blobs, manifest: harness.Manifest("another", img.blobs...)},
		tagged:  newImage("requests/tagged", 4),
		subject: newImage("requests/subject", 5),
		layer:   harness.RandomBytes(2, layerSize),
		chunked: harness.RandomBytes(3, layerSize),
		unused:  harness.RandomBytes(6, 4<<10),
	}
}

// operations returns the measured operations in order. Later operations use content of earlier
// ones. docs/storage-s3.md promises the limits.
func operations() []operation {
	w := newWorkload()
	return slices.Concat(w.images(), w.blobs(), w.tags(), w.referrers(), w.deletes())
}

func (w *workload) images() []operation {
	img := w.img
	return []operation{
		{name: "push of config + 3 layers of 4 KiB, new repository", limit: 30, do: img.push},
		{name: "the same again under one more tag", limit: 10, do: func(ctx context.Context, c *harness.Client) error {
			for _, b := range img.blobs {
				if err := exists(ctx, c, img.repo, b, http.StatusOK); err != nil {
					return err
				}
			}
			return img.tag(ctx, c, "again")
		}},
		{name: "HEAD manifest by tag", limit: 1, do: func(ctx context.Context, c *harness.Client) error {
			_, err := c.Do(ctx, http.StatusOK, http.MethodHead, "/v2/"+img.repo+"/manifests/latest", harness.Accept(), nil)
			return err
		}},
		{name: "pull of that image, cold", limit: 10, cold: true, do: img.pull},
		{name: "pull of that image, warm", limit: 6, do: img.pull},
	}
}

func (w *workload) blobs() []operation {
	repo := w.img.repo
	return []operation{
		{name: "64 MiB blob by POST, PATCH, PUT, besides its parts", limit: 11,
			do: func(ctx context.Context, c *harness.Client) error { return upload(ctx, c, repo, w.layer) }},
		{name: "GET of a range of it", limit: 2, do: func(ctx context.Context, c *harness.Client) error {
			_, err := c.Do(ctx, http.StatusPartialContent, http.MethodGet,
				"/v2/"+repo+"/blobs/"+digest.FromBytes(w.layer).String(),
				http.Header{"Range": {"bytes=5000000-5004095"}}, nil)
			return err
		}},
		{name: "PATCH of 8 MiB, each of eight", limit: 3, times: layerSize / chunkSize,
			before: func(ctx context.Context, c *harness.Client) (err error) {
				w.offset = 0
				w.location, err = c.Begin(ctx, repo)
				return err
			}, do: w.patch},
		{name: "mount", limit: 6, do: w.mount(w.layer)},
		{name: "mount of a small blob", limit: 4, do: w.mount(w.img.blobs[0])},
	}
}

// patch sends the content of chunked to the upload in progress, in chunks.
func (w *workload) patch(ctx context.Context, c *harness.Client) (err error) {
	for end := w.offset + int64(len(w.chunked)); w.offset < end; w.offset += chunkSize {
		at := w.offset % int64(len(w.chunked))
		if w.location, err = c.Patch(ctx, w.location, at, w.chunked[at:at+chunkSize]); err != nil {
			return err
		}
	}
	return nil
}

func (w *workload) mount(b []byte) func(ctx context.Context, c *harness.Client) error {
	return func(ctx context.Context, c *harness.Client) error {
		_, err := c.Do(ctx, http.StatusCreated, http.MethodPost,
			fmt.Sprintf("/v2/requests/mounted/blobs/uploads/?mount=%s&from=%s", digest.FromBytes(b), w.img.repo), nil, nil)
		return err
	}
}

func (w *workload) tags() []operation {
	img, other, tagged := w.img, w.other, w.tagged
	return []operation{
		{name: "one more tag on a known manifest", limit: 5, cold: true,
			do: func(ctx context.Context, c *harness.Client) error { return img.tag(ctx, c, "third") }},
		{name: "move of a tag to another known manifest", limit: 9, cold: true,
			before: func(ctx context.Context, c *harness.Client) error {
				return other.tag(ctx, c, digest.FromBytes(other.manifest).String())
			}, do: func(ctx context.Context, c *harness.Client) error {
				return other.tag(ctx, c, "third")
			}},
		{name: "page of 100 tags from the middle of 300", limit: 1,
			before: w.tagMany,
			do: func(ctx context.Context, c *harness.Client) error {
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
	}
}

// tagMany pushes the image tagged, and 300 tags of another manifest.
func (w *workload) tagMany(ctx context.Context, c *harness.Client) error {
	if err := w.tagged.push(ctx, c); err != nil {
		return err
	}
	one := *w.tagged
	one.manifest = harness.Manifest("one of many", one.blobs...)
	for n := range manyTags {
		if err := one.tag(ctx, c, fmt.Sprintf("t%03d", n)); err != nil {
			return err
		}
	}
	return nil
}

func (w *workload) referrers() []operation {
	return []operation{
		{name: "push of a referrer", limit: 8, before: w.subject.push,
			do: func(ctx context.Context, c *harness.Client) error { return w.attach(ctx, c, 0) }},
		{name: "referrers of 50, cold", limit: 1 + referrers, ours: true, cold: true,
			before: func(ctx context.Context, c *harness.Client) error {
				for n := range referrers {
					if err := w.attach(ctx, c, n); err != nil {
						return err
					}
				}
				return nil
			}, do: w.list("")},
		{name: "referrers of 50, warm", limit: 1, ours: true, do: w.list("")},
		{name: "referrers of 50, of another type, cold", limit: 2, ours: true, cold: true,
			do: w.list("?artifactType=none/such")},
	}
}

func (w *workload) attach(ctx context.Context, c *harness.Client, n int) error {
	manifest := referrer(w.subject, n)
	return c.PutManifest(ctx, w.subject.repo, digest.FromBytes(manifest).String(),
		imagespec.MediaTypeImageManifest, manifest)
}

// list returns an operation that lists the referrers of the subject.
func (w *workload) list(query string) func(ctx context.Context, c *harness.Client) error {
	return func(ctx context.Context, c *harness.Client) error {
		path := "/v2/" + w.subject.repo + "/referrers/" + digest.FromBytes(w.subject.manifest).String() + query
		_, err := c.Do(ctx, http.StatusOK, http.MethodGet, path, nil, nil)
		return err
	}
}

func (w *workload) deletes() []operation {
	repo := w.img.repo
	return []operation{
		{name: "delete of a blob", limit: 6, ours: true, cold: true,
			before: func(ctx context.Context, c *harness.Client) error {
				return upload(ctx, c, repo, w.unused)
			}, do: func(ctx context.Context, c *harness.Client) error {
				_, err := c.Do(ctx, http.StatusAccepted, http.MethodDelete,
					"/v2/"+repo+"/blobs/"+digest.FromBytes(w.unused).String(), nil, nil)
				return err
			}},
		{name: "one more tag on a known image of 4 blobs, the first after a delete of a blob", limit: 11, ours: true,
			cold: true,
			do:   func(ctx context.Context, c *harness.Client) error { return w.img.tag(ctx, c, "fourth") }},
		{name: "the next", limit: 5, ours: true, cold: true,
			do: func(ctx context.Context, c *harness.Client) error { return w.img.tag(ctx, c, "fifth") }},
	}
}

// referrer returns the manifest of an artifact with the image as its subject.
func referrer(subject *image, n int) []byte {
	return harness.Referrer(fmt.Sprint("referrer ", n), subject.manifest, subject.blobs[:2]...)
}
