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
	// granule divides the size of every part, in bytes. Cloud Storage requires this, and the client
	// rounds sizes up to it.
	granule = 256 << 10
	// maxObjectSize is the maximum size of an object in Cloud Storage, in bytes.
	maxObjectSize = 5 << 40
	// leastPart is the minimum part size that a size hint can cause, in bytes. A wrong hint
	// therefore does not cost thousands of requests.
	leastPart = 1 << 20
	// writeKey is the metadata key under which an object names the write that stored it.
	writeKey = "write"
)

// heads pools the buffers for heads; it carries no state from one write to the next. A head is the
// first granule of a body. A body that ends within its head needs no parts.
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
		// Close would complete the upload as if the body had ended normally. The cancelled context
		// prevents this.
		cancel()
		_ = w.Close() // err already holds the cause
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

// checkOwnWrite is called when a condition failed after an attempt without a response. That attempt
// may have succeeded and may itself be the reason why the condition failed. checkOwnWrite returns
// success if the object carries id, and driver.ErrUnavailable otherwise.
func (s *store) checkOwnWrite(ctx context.Context, name, id string, cause error) (gocloud.Written, error) {
	attrs, err := s.object(name).Attrs(ctx)
	if err != nil || attrs.Metadata[writeKey] != id {
		return gocloud.Written{}, unknownOutcome(errors.Join(cause, err))
	}
	return written(attrs), nil
}

// fill reads until p is full or the body ends. ended reports whether the body ended before p was
// full.
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

// partSize returns the part size for a body that is larger than a head, in bytes. An upload holds
// one part in memory. A size hint only makes parts smaller, or larger by one granule.
func partSize(opts *gocloud.PutOptions) int {
	size := opts.Parts.PartSize()
	switch {
	case opts.Size > granule && opts.Size < size: // use no more memory than needed
		size = min(size, max(opts.Size+1, leastPart))
	case opts.Size > 0 && opts.Size%size == 0: // a body that ends with a full part costs one more, empty request
		size += granule
	}
	return int((size + granule - 1) / granule * granule)
}
