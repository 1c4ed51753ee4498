package gocloud

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/registrykit/registry/storage/driver"
)

const (
	fewPerPage = 16      // the minimum number of objects of a page
	perPage    = 1000    // the maximum of the stores on the network
	mostLocal  = 1 << 16 // the maximum of memblob, which sorts all its keys for each page
)

// pager lists the objects of a bucket page by page.
type pager struct {
	bucket *blob.Bucket
	prefix string                                  // of the driver
	before func(as func(any) bool, a string) error // see Store.BeforeList; may be nil
	most   int                                     // per page
	stall  time.Duration                           // see Options.StallTimeout
	info   func(key string, o *blob.ListObject) driver.Info
}

func (p *pager) list(ctx context.Context, prefix string, opts *driver.ListOptions,
	yield func(driver.Info) bool) error {
	list := &blob.ListOptions{Prefix: p.prefix + objectName(prefix)}
	if p.before != nil {
		after := p.prefix + objectName(validPart(opts.After))
		if after <= list.Prefix {
			after = ""
		}
		list.BeforeList = func(as func(any) bool) error { return p.before(as, after) }
	}
	size := perPage
	if opts.PageHint > 0 {
		size = min(max(opts.PageHint, fewPerPage-1)+1, perPage)
	}
	last := ""
	for token := blob.FirstPageToken; len(token) > 0; size = min(4*size, p.most) {
		if err := ctx.Err(); err != nil {
			return err
		}
		page, next, err := p.page(ctx, token, size, list)
		if err != nil { // even io.EOF, which a lost connection can cause
			return err
		}
		token = next
		for _, o := range page {
			// A list out of order may leave out keys, and a collection would take those for missing.
			if o.Key <= last {
				return fmt.Errorf("the bucket lists %q after %q", o.Key, last)
			}
			last = o.Key
			name, ok := strings.CutPrefix(o.Key, p.prefix)
			key, valid := objectKey(name)
			if !ok || !valid || o.IsDir || key <= opts.After || !strings.HasPrefix(key, prefix) {
				continue
			}
			info := p.info(key, o)
			if err := checkComplete(info); err != nil {
				return err
			}
			if !yield(info) {
				return nil
			}
		}
	}
	return nil
}

// page requests one page.
func (p *pager) page(ctx context.Context, token []byte, size int, list *blob.ListOptions) (page []*blob.ListObject,
	next []byte, err error) {
	defer recoverPanic(&err)
	ctx, _, stop := newWatch(ctx, p.stall)
	defer stop()
	page, next, err = p.bucket.ListPage(ctx, token, size, list)
	return page, next, stalled(ctx, err)
}

// validPart returns the longest beginning of s that a key can have: up to the first byte that no
// key contains, or up to a component "." or "..". Some stores refuse anything else. Every key that
// is greater than s is greater than validPart(s), too.
func validPart(s string) string {
	start := 0 // of the component
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '/' {
			if !driver.ValidKey("x" + s[i:i+1]) {
				return s[:i]
			}
			continue
		}
		if c := s[start:i]; c == "." || c == ".." {
			return s[:start]
		}
		start = i + 1
	}
	return s
}
