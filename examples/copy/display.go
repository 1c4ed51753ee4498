package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/registrykit/registry/replicate"
)

// display shows the progress of copies.
type display interface {
	// show is replicate.Options.Progress.
	show(p replicate.Progress)
	close()
}

// newDisplay returns a bar if w is a terminal, and lines otherwise.
func newDisplay(w io.Writer, quiet bool) display {
	if quiet {
		return none{}
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bar{w: w}
	}
	return &lines{w: w}
}

type none struct{}

func (none) show(replicate.Progress) {}
func (none) close()                  {}

// bar shows one bar for all blobs of a copy. A copy with smaller totals is another one, of a Sync.
type bar struct {
	w     io.Writer
	b     *progressbar.ProgressBar
	total int64
}

func (b *bar) show(p replicate.Progress) {
	if p.BytesTotal == 0 {
		return
	}
	if b.b == nil || p.BytesTotal < b.total {
		b.close()
		b.b = progressbar.NewOptions64(p.BytesTotal, progressbar.OptionSetWriter(b.w), progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30), progressbar.OptionShowTotalBytes(true))
	}
	if p.BytesTotal != b.total {
		b.total = p.BytesTotal
		b.b.ChangeMax64(p.BytesTotal)
	}
	b.b.Describe(fmt.Sprintf("%d/%d blobs", p.Blobs, p.BlobsTotal))
	_ = b.b.Set64(p.Bytes) // what a terminal cannot show is lost
}

func (b *bar) close() {
	if b.b != nil {
		_ = b.b.Clear()
	}
	b.b, b.total = nil, 0
}

// lines writes a line for each blob and manifest, and for blobs in progress now and then.
type lines struct {
	w         io.Writer
	last      time.Time
	manifests int // finished, when show was last called
}

const lineEvery = 10 * time.Second

func (l *lines) show(p replicate.Progress) {
	what := "blob"
	if p.Manifests > l.manifests {
		what = "manifest"
	}
	l.manifests = p.Manifests
	switch {
	case p.Descriptor.Digest == "":
		return
	case p.Done:
	case l.last.IsZero():
		l.last = time.Now()
		return
	case time.Since(l.last) < lineEvery:
		return
	}
	l.last = time.Now()
	state := "done"
	if !p.Done {
		state = "in progress"
	}
	fmt.Fprintf(l.w, "%s %.19s %s, %s of %s, %d of %d blobs, %d of %d manifests\n", what, p.Descriptor.Digest, state,
		size(p.Bytes), size(p.BytesTotal), p.Blobs, p.BlobsTotal, p.Manifests, p.ManifestsTotal)
}

func (l *lines) close() {}

// size returns a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	f := float64(n)
	for _, name := range []string{"B", "KiB", "MiB", "GiB"} {
		if f < unit {
			return fmt.Sprintf("%.4g %s", f, name)
		}
		f /= unit
	}
	return fmt.Sprintf("%.4g TiB", f)
}
