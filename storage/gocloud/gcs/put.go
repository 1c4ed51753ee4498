package gcs

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"

	cloud "cloud.google.com/go/storage"

	"github.com/registrykit/registry/storage/gocloud"
)

const (
	// granule is what sizes of parts are multiples of, in bytes: Cloud Storage demands it, the
	// client rounds up.
	granule = 256 << 10
	// maxObjectSize is the size that Cloud Storage allows an object, in bytes.
	maxObjectSize = 5 << 40
	// leastPart is the size that a hint makes parts have at least, in bytes, so that a wrong one
	// costs no thousands of requests.
	leastPart = 1 << 20
	// writeKey is the key in the metadata of an object whose value is the name of the write that
	// stored it.
	writeKey = "write"
)

// heads holds no state, only memory to use again. A head is the beginning of a body: one that ends
// in it costs no part.
var heads = sync.Pool{New: func() any { return new([granule]byte) }}

// MaxObjectSize implements [gocloud.Store]. A resumable upload may have any number of parts.
func (s *store) MaxObjectSize(gocloud.Parts) int64 { return maxObjectSize }

// Put implements [gocloud.Store].
func (s *store) Put(ctx context.Context, name string, body io.Reader, opts *gocloud.PutOptions) (gocloud.Written,
	error) {
	t, o := s.attempts(), s.object(name)
	switch {
	case opts.IfAbsent:
		o = o.If(cloud.Conditions{DoesNotExist: true})
	case opts.IfVersion != "":
		g, err := generation(opts.IfVersion)
		if err != nil {
			return gocloud.Written{}, err
		}
		o = o.If(cloud.Conditions{GenerationMatch: g})
	}
	head := heads.Get().(*[granule]byte)
	defer heads.Put(head)
	n, ended, err := fill(head[:], body)
	if err != nil {
		return gocloud.Written{}, err
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := o.Retryer(cloud.WithErrorFunc(t.retry)).NewWriter(wctx)
	w.ContentType = opts.ContentType
	w.ChunkSize = granule
	if !ended {
		w.ChunkSize = partSize(opts)
	}
	id := rand.Text()
	w.Metadata = map[string]string{writeKey: id}
	w.ProgressFunc = func(int64) { t.progress() }
	if s.opts.Writer != nil {
		s.opts.Writer(w)
	}
	_, err = w.Write(head[:n])
	if err == nil && !ended {
		_, err = io.CopyBuffer(w, body, head[:])
	}
	if err != nil {
		// Close ends the body, as if it had ended well. What is sent from then on is not: the
		// context has ended before.
		cancel()
		_ = w.Close() // err is the reason
	} else {
		err = w.Close()
	}
	if err != nil {
		if t.unsure && code(err) == codeCondition {
			return s.checkOwnWrite(ctx, name, id, err)
		}
		return gocloud.Written{}, err
	}
	return written(w.Attrs()), nil
}

func written(a *cloud.ObjectAttrs) gocloud.Written {
	return gocloud.Written{Version: version(a.Generation), ModTime: a.Updated}
}

// checkOwnWrite is asked when a condition fails that may have failed because an earlier attempt was
// successful, although nobody said so.
func (s *store) checkOwnWrite(ctx context.Context, name, id string, cause error) (gocloud.Written, error) {
	attrs, err := s.object(name).Attrs(ctx)
	if err != nil || attrs.Metadata[writeKey] != id {
		return gocloud.Written{}, unknownOutcome(errors.Join(cause, err))
	}
	return written(attrs), nil
}

// fill reads until p is full or the body ends, which is told by ended; it is not if p is full.
func fill(p []byte, body io.Reader) (n int, ended bool, err error) {
	for n < len(p) {
		m, err := body.Read(p[n:])
		if n += m; err == io.EOF { //nolint:errorlint // one that wraps it is an error
			return n, n < len(p), nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// partSize returns the size of the parts of a body that is larger than a head, which is what an
// upload holds in memory. A hint only makes it smaller, but for one granule.
func partSize(opts *gocloud.PutOptions) int {
	size := opts.Parts.PartSize()
	switch {
	case opts.Size > granule && opts.Size < size: // no more memory than needed
		size = min(size, max(opts.Size+1, leastPart))
	case opts.Size > 0 && opts.Size%size == 0: // a body that ends with a part costs one more request, which says so
		size += granule
	}
	return int((size + granule - 1) / granule * granule)
}
