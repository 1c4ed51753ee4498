package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// journal is a file with a line for each request and each event. It shows the history before a
// failure.
type journal struct {
	mu    sync.Mutex
	file  *os.File
	w     *bufio.Writer
	start time.Time
}

func newJournal() (*journal, error) {
	f, err := os.CreateTemp("", "soak-journal-")
	if err != nil {
		return nil, err
	}
	return &journal{file: f, w: bufio.NewWriterSize(f, 64<<10), start: time.Now()}, nil
}

// note writes a line.
func (j *journal) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(j.w, "%11.6f %s\n", time.Since(j.start).Seconds(), line)
}

// last returns the last n lines that contain text or that record a kill.
func (j *journal) last(text string, n int) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.w.Flush(); err != nil {
		return []string{err.Error()}
	}
	f, err := os.Open(j.file.Name())
	if err != nil {
		return []string{err.Error()}
	}
	defer f.Close()
	var found []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := lines.Text(); strings.Contains(line, text) || strings.Contains(line, "server:") {
			found = append(found, line)
			if len(found) > 2*n {
				found = append(found[:0], found[n:]...)
			}
		}
	}
	return found[max(0, len(found)-n):]
}

// close closes the journal and removes it unless keep is set.
func (j *journal) close(keep bool) error {
	err := j.w.Flush()
	if cerr := j.file.Close(); err == nil {
		err = cerr
	}
	if !keep && err == nil {
		err = os.Remove(j.file.Name())
	}
	return err
}

// transport records each request of one worker in the journal.
type transport struct {
	http.RoundTripper
	journal *journal
	worker  int
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := t.RoundTripper.RoundTrip(r)
	took := time.Since(start).Round(time.Microsecond)
	if err != nil {
		t.journal.note("w%d %s %s %s: %v in %v", t.worker, r.Method, r.URL.Host, r.URL.RequestURI(), err, took)
	} else {
		t.journal.note("w%d %s %s %s: %d in %v", t.worker, r.Method, r.URL.Host, r.URL.RequestURI(), resp.StatusCode, took)
	}
	return resp, err
}
