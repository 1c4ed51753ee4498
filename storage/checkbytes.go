package storage

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// verdict is what a check has found out about the bytes of a link.
type verdict struct {
	whole           bool         // the bytes have the digest, and the link states their sizes
	right           *object.Link // the same bytes with their real sizes, if they have the digest; or nil
	expected, found string       // unless whole: for people
}

// checkBuffers has buffers for the bytes of segments.
var checkBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// examine compares the bytes of the link l of a repository with their digest. If they seem wrong, it
// reads the link again, because the blob may have other bytes by now, and then all of the bytes. It
// returns the link as it is then. A link that is not there any more counts as whole.
//
// Errors: any error of a read but driver.ErrNotExist of data.
func (c *Check) examine(ctx context.Context, r repo, d digest.Digest, l *object.Link) (verdict, *object.Link, error) {
	v, err := c.hashLink(ctx, d, l)
	for range maxLookups {
		if err != nil || v.whole {
			return v, l, err
		}
		now, ok, err := r.RawLink(ctx, d)
		if err != nil {
			return v, l, err
		}
		if !ok || now.State == object.Pending || now.Unproven {
			return verdict{whole: true}, l, nil
		}
		same := now.DataID() == l.DataID()
		l = now
		again, err := c.hashLink(ctx, d, l)
		if err != nil || same {
			return again, l, err
		}
		v = again
	}
	return verdict{whole: true}, l, nil // the link changes all the time; the next check looks again
}

// hashLink compares the bytes of a link with their digest, once.
func (c *Check) hashLink(ctx context.Context, d digest.Digest, l *object.Link) (verdict, error) {
	h := d.Algorithm().Hash()
	right := &object.Link{State: object.Live, Tail: l.Tail, Size: int64(len(l.Tail))}
	v := verdict{expected: string(d)}
	for _, seg := range l.Segments {
		if !driver.ValidKey(object.DataKey(seg.Name)) {
			v.found = fmt.Sprintf("a segment with the invalid name %q", seg.Name)
			return v, nil
		}
		n, err := c.hashSegment(ctx, seg, h)
		if errors.Is(err, driver.ErrNotExist) {
			v.expected, v.found = fmt.Sprintf("the object %s with %d bytes", object.DataKey(seg.Name), seg.Size), "no object"
			return v, nil
		}
		if err != nil {
			return v, fmt.Errorf("storage: reading %s of %s: %w", object.DataKey(seg.Name), d, err)
		}
		if n != seg.Size && v.found == "" {
			v.expected = fmt.Sprintf("the object %s with %d bytes", object.DataKey(seg.Name), seg.Size)
			v.found = fmt.Sprintf("%d bytes", n)
		}
		right.Segments = append(right.Segments, object.Segment{Name: seg.Name, Size: n})
		right.Size += n
	}
	h.Write(l.Tail)
	got := digest.NewDigest(d.Algorithm(), h)
	c.opts.Counted(CheckCounts{Content: 1, Bytes: int64(len(l.Tail))})
	switch {
	case got == d && v.found == "" && l.Size == right.Size && l.Sum == object.Checksum(l.Tail):
		v.whole = true
	case got == d:
		v.right = right
		if v.found == "" {
			v.expected = fmt.Sprintf("a link that states %d bytes", right.Size)
			v.found = fmt.Sprintf("%d bytes, or a wrong checksum", l.Size)
		}
	case v.found == "":
		v.found = string(got)
	}
	return v, nil
}

// hashSegment writes the bytes of a segment to h, and returns their number.
//
// Errors: driver.ErrNotExist.
func (c *Check) hashSegment(ctx context.Context, seg object.Segment, h hash.Hash) (n int64, err error) {
	r, info, err := c.store.objects.Driver.Open(ctx, object.DataKey(seg.Name), nil)
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	buf := checkBuffers.Get().(*[]byte)
	defer checkBuffers.Put(buf)
	for {
		k, err := r.Read(*buf)
		h.Write((*buf)[:k])
		n += int64(k)
		c.opts.Counted(CheckCounts{Bytes: int64(k)})
		switch {
		case err == io.EOF && n < info.Size:
			return n, io.ErrUnexpectedEOF // a lost connection, and not a short object
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
	}
}
