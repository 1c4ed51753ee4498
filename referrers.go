package registry

import (
	"bytes"
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
	// maxReferrers is the maximum size of the descriptors on a page of referrers, in bytes, if the
	// page has more than one: many clients read no index larger than 4 MiB, the largest size of a
	// manifest.
	maxReferrers = 4<<20 - 4<<10
	// maxReferrersRead is how many bytes are read for one page of referrers, the last referrer not
	// counted. A filter reads what it leaves out only if the Backend does not know its type.
	maxReferrersRead = 2 * maxReferrers
	// maxTypes is how many artifact types one request can name.
	maxTypes = 64
)

const (
	// readBudget bounds the bytes of referrers that all requests together read at a time.
	readBudget = 32 << 20
	// readShare is the part of the budget that a request takes at once. Most pages need no more
	// than one.
	readShare = 256 << 10
	// readPatience is how long a request waits for its first share.
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
	page := &referrersPage{ctx: c.req.Context(), budget: c.r.reading, last: last}
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
	return c.writeJSON(ocispec.MediaTypeImageIndex, page.json.Bytes())
}

// typesParam returns the artifact types in the parameters artifactType: a referrer that has one of
// them is wanted. Clients that write the plus of "application/spdx+json" as it is send a space.
// Such a value stands for both.
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

// referrersPage is a page of referrers while it is gathered.
type referrersPage struct {
	ctx    context.Context
	budget *semaphore.Weighted

	json    bytes.Buffer
	n       int       // descriptors in json
	last    string    // the page has all that are wanted up to this digest
	full    bool      // the next referrer does not fit on the page
	costly  bool      // scan has ended the page; a Backend yields what it has scanned before that later
	started time.Time // when the first referrer was looked at
	scanned string    // the referrer that was looked at last
	read    int64     // bytes read, or about to be
	held    int64     // of the budget
	err     error     // why the page cannot be gathered
}

// fill gathers the page.
func (p *referrersPage) fill(c *call, types []string) error {
	p.json.WriteString(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[`)
	limit := c.r.opts.PageSize
	opts := &ReferrersOptions{ArtifactTypes: types, After: digest.Digest(p.last), PageHint: limit + 1, Scan: p.scan}
	for desc, err := range c.backend.Referrers(p.ctx, c.op.Repository, c.op.Ref.Digest, opts) {
		if err != nil {
			return err
		}
		entry, err := marshal(desc)
		if err != nil {
			return err
		}
		if p.n == limit || p.n > 0 && p.json.Len()+len(entry) > maxReferrers {
			p.full = true
			break
		}
		if p.n++; p.n > 1 {
			p.json.WriteByte(',')
		}
		p.json.Write(entry)
		p.last = string(desc.Digest)
	}
	if p.costly && !p.full {
		p.last = p.scanned // all that are wanted up to there have come
	}
	p.json.WriteString(`]}`)
	return p.err
}

// scan is the ReferrersOptions.Scan of the page. The page ends before the referrer d if it has cost
// enough. Each page looks at one referrer at least.
func (p *referrersPage) scan(d digest.Digest, size int64) bool {
	if p.scanned == "" {
		if p.err = p.reserve(size); p.err != nil {
			return false
		}
		p.started = time.Now()
	} else if p.read+size > maxReferrersRead || time.Since(p.started) > maxPageTime || !p.grow(size) {
		p.costly = true
		return false
	}
	p.scanned = string(d)
	p.read += size
	return true
}

// reserve waits for the first share of the budget.
func (p *referrersPage) reserve(size int64) error {
	ctx, cancel := context.WithTimeout(p.ctx, readPatience)
	defer cancel()
	share := min(max(size, readShare), readBudget)
	if err := p.budget.Acquire(ctx, share); err != nil {
		return ErrUnavailable.WithCause(fmt.Errorf("registry: too many lists of referrers at once: %w", err))
	}
	p.held = share
	return nil
}

// grow takes another share of the budget if the next referrer needs it, and reports whether there
// is one. It does not wait: requests that hold a share and wait for another could wait for each
// other.
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

// release gives the budget back.
func (p *referrersPage) release() {
	p.budget.Release(p.held)
	p.held = 0
}
