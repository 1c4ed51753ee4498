package registry

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/registrykit/registry/reference"
)

const (
	// maxReferrers is the maximum size in bytes of the descriptors on a page with more than one
	// referrer. Many clients read no index larger than 4 MiB, the maximum size of a manifest.
	maxReferrers = 4<<20 - 4<<10
	// maxReferrersRead is the maximum number of bytes read for one page, without the last referrer.
	// A filter by type reads referrers that it then skips only if the Backend does not know their
	// type.
	maxReferrersRead = 2 * maxReferrers
	// maxTypes is the maximum number of artifact types in one request.
	maxTypes = 64
)

const (
	// readBudget is the maximum number of bytes of referrers that all requests together read at a
	// time.
	readBudget = 32 << 20
	// readShare is the part of the budget, in bytes, that a request takes at once. Most pages need
	// no more than one share.
	readShare = 256 << 10
	// readPatience is the maximum time that a request waits for its first share.
	readPatience = 30 * time.Second
)

func (c *call) listReferrers() error {
	types, err := typesParam(c.query)
	if err != nil {
		return err
	}
	last, err := lastParam(c.query, ErrDigestInvalid, reference.CheckDigest)
	if err != nil {
		return err
	}
	page := &referrersPage{ctx: &c.ctx, budget: c.r.reading, last: last, json: c.r.scratch.get()}
	defer page.release()
	if err := page.fill(c, types); err != nil {
		return err
	}
	if page.full || page.costly {
		q := url.Values{"last": {page.last}}
		if len(types) > 0 {
			q["artifactType"] = c.query["artifactType"]
		}
		c.linkNext(q)
	}
	if len(types) > 0 {
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	page.release() // the client may be slow
	return c.writeList(ocispec.MediaTypeImageIndex, page.json)
}

// typesParam returns the values of the parameter artifactType. A referrer is selected if it has one
// of them. Clients that do not escape the plus of "application/spdx+json" send a space, so a value
// with a space stands for both.
func typesParam(q url.Values) ([]string, error) {
	var types []string
	for _, s := range q["artifactType"] {
		if s == "" {
			continue
		}
		types = append(types, s)
		if strings.Contains(s, " ") {
			types = append(types, strings.ReplaceAll(s, " ", "+"))
		}
	}
	if len(types) > maxTypes {
		return nil, errQuery.WithMessage("too many artifact types")
	}
	slices.Sort(types)
	return slices.Compact(types), nil
}

// referrersPage is a page of referrers that is being filled.
type referrersPage struct {
	ctx    context.Context
	budget *semaphore.Weighted

	json     []byte    // a buffer of Registry.scratch
	keys     []string  // a buffer for the keys of annotations
	n        int       // number of descriptors in json
	last     string    // the page has all selected referrers up to this digest
	full     bool      // the next referrer does not fit on the page
	costly   bool      // scan has ended the page; the Backend may still yield referrers scanned before
	started  time.Time // when the first referrer was examined
	scanned  string    // the referrer that was examined last
	examined int       // number of referrers
	read     int64     // bytes read or about to be read
	held     int64     // bytes of the budget
	err      error     // why the page cannot be filled
}

// fill reads the referrers of the page.
func (p *referrersPage) fill(c *call, types []string) error {
	p.json = append(p.json, `{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`","manifests":[`...)
	limit := c.r.opts.PageSize
	opts := &ReferrersOptions{ArtifactTypes: types, After: digest.Digest(p.last), PageHint: limit + 1, Scan: p.scan,
		Shared: true}
	for desc, err := range c.backend.Referrers(p.ctx, c.op.Repository, c.op.Ref.Digest, opts) {
		if err != nil {
			return err
		}
		if p.n == limit {
			p.full = true
			break
		}
		before := len(p.json)
		if p.n > 0 {
			p.json = append(p.json, ',')
		}
		p.json = appendDescriptor(p.json, &desc, &p.keys)
		if p.n > 0 && len(p.json) > maxReferrers+len(",") {
			p.json, p.full = p.json[:before], true
			break
		}
		p.n++
		p.last = string(desc.Digest)
	}
	if p.costly && !p.full {
		p.last = p.scanned // the page has all selected referrers up to there
	}
	p.json = append(p.json, `]}`...)
	return p.err
}

// scan is the ReferrersOptions.Scan of the page. It ends the page before the referrer d if the page
// has cost enough. Each page examines at least one referrer.
func (p *referrersPage) scan(d digest.Digest, size int64) bool {
	if p.scanned == "" {
		if p.err = p.reserve(size); p.err != nil {
			return false
		}
		p.started = time.Now()
	} else if p.read+size > maxReferrersRead || p.late() || !p.grow(size) {
		p.costly = true
		return false
	}
	p.examined++
	p.scanned = string(d)
	p.read += size
	return true
}

// late reports whether the page has taken too long. It reads the clock for every 16th referrer only,
// because that costs as much as the rest of scan.
func (p *referrersPage) late() bool {
	return p.examined%16 == 0 && time.Since(p.started) > maxPageTime
}

// reserve waits for the first share of the budget.
func (p *referrersPage) reserve(size int64) error {
	share := min(max(size, readShare), readBudget)
	if p.budget.TryAcquire(share) {
		p.held = share
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, readPatience)
	defer cancel()
	if err := p.budget.Acquire(ctx, share); err != nil {
		return ErrUnavailable.WithCause(fmt.Errorf("registry: too many lists of referrers at once: %w", err))
	}
	p.held = share
	return nil
}

// grow takes another share of the budget if the next referrer needs it. It returns false if there
// is no share left. It does not wait, because requests that hold a share could wait for each other.
func (p *referrersPage) grow(size int64) bool {
	if p.read+size <= p.held {
		return true
	}
	share := max(p.read+size-p.held, readShare)
	if !p.budget.TryAcquire(share) {
		return false
	}
	p.held += share
	return true
}

// release returns the shares to the budget.
func (p *referrersPage) release() {
	p.budget.Release(p.held)
	p.held = 0
}
