package replicate

import (
	"fmt"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tracker keeps the Progress of one copy.
type tracker struct {
	mu   sync.Mutex
	p    Progress
	call func(Progress) // or nil
}

// change changes the Progress and reports it.
func (t *tracker) change(f func(p *Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.p)
	if t.call != nil {
		t.call(t.p)
	}
}

// last returns the state.
func (t *tracker) last() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.p
}

// found adds to the totals.
func (t *tracker) found(manifests, blobs int, bytes int64) {
	if manifests == 0 && blobs == 0 {
		return
	}
	t.change(func(p *Progress) {
		p.ManifestsTotal += manifests
		p.BlobsTotal += blobs
		p.BytesTotal += bytes
		p.Descriptor, p.Done = ocispec.Descriptor{}, false
	})
}

// manifest reports a finished manifest.
func (t *tracker) manifest(desc ocispec.Descriptor) {
	t.change(func(p *Progress) {
		p.Manifests++
		p.Descriptor, p.Done = desc, true
	})
}

// moved reports that n bytes were read and that the bytes of b up to position at need no further
// copying.
func (t *tracker) moved(b *blob, n, at int64) {
	t.change(func(p *Progress) {
		p.Copied += n
		p.advance(b, at)
		p.Descriptor, p.Done = b.desc, false
	})
}

// resumed reports that the destination has the first at bytes of b from an earlier copy.
func (t *tracker) resumed(b *blob, at int64) {
	t.change(func(p *Progress) {
		p.Skipped += p.advance(b, at)
		p.Descriptor, p.Done = b.desc, false
	})
}

// finish reports that b is finished. The bytes that are not yet counted are added to *rest, which is
// a field of the Progress.
func (t *tracker) finish(b *blob, rest func(p *Progress) *int64) {
	t.change(func(p *Progress) {
		n := p.advance(b, b.desc.Size)
		if rest != nil {
			*rest(p) += n
		}
		p.Blobs++
		p.Descriptor, p.Done = b.desc, true
	})
}

func skipped(p *Progress) *int64 { return &p.Skipped }
func mounted(p *Progress) *int64 { return &p.Mounted }

// advance counts the bytes of b up to position at, each once, and returns how many are new.
func (p *Progress) advance(b *blob, at int64) int64 {
	n := max(min(at, b.desc.Size)-b.counted, 0)
	b.counted += n
	p.Bytes += n
	return n
}

// summary returns what has been copied, for errors.
func (p Progress) summary() string {
	return fmt.Sprintf("finished %d of %d blobs, %d of %d manifests, %d of %d bytes", p.Blobs, p.BlobsTotal,
		p.Manifests, p.ManifestsTotal, p.Bytes, p.BytesTotal)
}
