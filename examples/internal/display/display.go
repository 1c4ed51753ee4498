// Package display shows the progress of long work: a bar on a terminal, and lines elsewhere.
package display

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// State is the state of work.
type State struct {
	// Text says what has been done, such as "12 of 40 blobs".
	Text string
	// Done is what has been done, of Total. A Total of 0 means that it is unknown.
	Done, Total int64
	// Bytes reports whether Done and Total are bytes.
	Bytes bool
	// Line, unless "", is written at once where lines are shown. Otherwise, a line with Text is
	// written now and then.
	Line string
}

// Display shows the progress of work. It is safe for concurrent use.
type Display interface {
	// Show shows a state. It may be called often.
	Show(s State)
	// Close ends the display of this work. Show may be called again, for other work.
	Close()
}

// New returns a bar if w is a terminal, and lines otherwise, or a Display that shows nothing.
func New(w io.Writer, quiet bool) Display {
	if quiet {
		return none{}
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bar{w: w}
	}
	return &lines{w: w}
}

type none struct{}

func (none) Show(State) {}
func (none) Close()     {}

// bar shows a bar. A smaller total than before begins another one.
type bar struct {
	mu    sync.Mutex
	w     io.Writer
	b     *progressbar.ProgressBar
	total int64
}

func (b *bar) Show(s State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.Text == "" {
		return
	}
	total := s.Total
	if total <= 0 {
		total = -1 // progressbar shows a spinner
	}
	if b.b == nil || total < b.total {
		b.end()
		b.b = progressbar.NewOptions64(total, progressbar.OptionSetWriter(b.w), progressbar.OptionShowBytes(s.Bytes),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30), progressbar.OptionShowTotalBytes(true))
		b.total = total
	}
	if total != b.total {
		b.total = total
		b.b.ChangeMax64(total)
	}
	b.b.Describe(s.Text)
	_ = b.b.Set64(s.Done) // what a terminal cannot show is lost
}

func (b *bar) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end()
}

func (b *bar) end() {
	if b.b != nil {
		_ = b.b.Clear()
	}
	b.b, b.total = nil, 0
}

// lines writes lines.
type lines struct {
	mu   sync.Mutex
	w    io.Writer
	last time.Time
}

// lineEvery is the time between two lines about the same work.
const lineEvery = 10 * time.Second

func (l *lines) Show(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := s.Line
	switch {
	case line != "":
	case s.Text == "":
		return
	case l.last.IsZero():
		l.last = time.Now()
		return
	case time.Since(l.last) < lineEvery:
		return
	default:
		line = s.Text
		if s.Total > 0 {
			line += fmt.Sprintf(", %d%%", 100*s.Done/s.Total)
		}
	}
	l.last = time.Now()
	fmt.Fprintln(l.w, line)
}

func (l *lines) Close() {}

// Size returns a number of bytes for people.
func Size(n int64) string {
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
