package mirror

import (
	"io"

	"github.com/registrykit/registry"
)

// untilClosed returns blob with a body that calls done when it is closed. done may be called twice.
func untilClosed(blob *registry.Blob, done func()) *registry.Blob {
	if blob.Body == nil {
		done() // the client reads the blob from a URL
		return blob
	}
	b := body{ReadSeekCloser: blob.Body, done: done}
	held := &registry.Blob{Descriptor: blob.Descriptor, Body: &b}
	if source, ok := blob.Body.(registry.FileSource); ok {
		held.Body = &fileBody{body: b, FileSource: source}
	}
	return held
}

// body calls done when it is closed.
type body struct {
	io.ReadSeekCloser
	done func()
}

// Close implements [io.Closer].
func (b *body) Close() error {
	defer b.done()
	return b.ReadSeekCloser.Close()
}

// Until passes the announcement of a part on, see [registry.Blob].
func (b *body) Until(end int64) {
	if u, ok := b.ReadSeekCloser.(interface{ Until(end int64) }); ok {
		u.Until(end)
	}
}

// Await passes the wish to be called while the body waits on, see [registry.Blob].
func (b *body) Await(idle func()) {
	if a, ok := b.ReadSeekCloser.(interface{ Await(idle func()) }); ok {
		a.Await(idle)
	}
}

// fileBody is a body whose bytes come from a file.
type fileBody struct {
	body
	registry.FileSource
}
