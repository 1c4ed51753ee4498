package api

import (
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
)

// Limits of a page of referrers.
const (
	maxReferrerBytes   = 16 << 20 // of the entries that it reads
	maxReferrerDetails = 100      // referrers on a page with details
)

func (a *API) listReferrers(q *request) (*response, error) {
	if err := q.only("artifactType", "details", "limit", "after"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	details, err := q.boolean("details")
	if err != nil {
		return nil, err
	}
	if details {
		limit = min(limit, maxReferrerDetails)
	}
	opts := &registry.ReferrersOptions{After: digest.Digest(after), PageHint: limit + 1}
	artifactType, err := q.text("artifactType", 255)
	if err != nil {
		return nil, err
	}
	if artifactType != "" {
		opts.ArtifactTypes = []string{artifactType}
	}
	subject, err := q.subject()
	if err != nil {
		return nil, err
	}
	list, next, err := a.readReferrers(q, subject, limit, opts)
	if err == nil && details {
		err = a.addSizes(q, list.Items)
	}
	return &response{body: list, next: next}, err
}

// subject returns the digest of the manifest in the path.
//
// Errors: 400 and 404.
func (q *request) subject() (digest.Digest, error) {
	ref, err := q.reference()
	if err != nil || ref.Tag == "" {
		return ref.Digest, err
	}
	d, err := q.caller.Backend().StatManifest(q.Context(), q.param("repository"), ref, nil)
	return d.Digest, err
}

// readReferrers returns at most limit referrers, and the cursor of the next page.
func (a *API) readReferrers(q *request, subject digest.Digest, limit int, opts *registry.ReferrersOptions) (
	list types.ReferrerList, next string, err error) {
	examined, size, last := 0, int64(0), digest.Digest("")
	opts.Scan = func(d digest.Digest, n int64) bool {
		size += n
		examined++
		if examined > 1 && (size > maxReferrerBytes || examined > a.scanned) {
			next = last.String()
			return false
		}
		last = d
		return true
	}
	list.Items = []types.Referrer{}
	for d, err := range q.caller.Backend().Referrers(q.Context(), q.param("repository"), subject, opts) {
		if err != nil {
			return list, "", err
		}
		if len(list.Items) == limit {
			return list, list.Items[limit-1].Digest, nil
		}
		list.Items = append(list.Items, types.Referrer{Descriptor: descriptorOf(d)})
	}
	return list, next, nil
}

// addSizes reads the referrers, and sets their total sizes. A referrer that was deleted since has none.
func (a *API) addSizes(q *request, list []types.Referrer) error {
	return parallel.Each(atOnce, len(list), func(i int) error {
		ref := reference.Ref{Digest: digest.Digest(list[i].Digest)}
		facts, err := a.opts.Images.Read(q.Context(), q.caller.Reader(), q.param("repository"), ref,
			&image.Options{NoConfig: true})
		if errors.Is(err, registry.ErrManifestUnknown) {
			return nil
		}
		if err == nil {
			list[i].TotalSize = facts.Size
		}
		return err
	})
}
