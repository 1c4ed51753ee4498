package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// largeBody is the size in bytes from which a recorded body is a file.
const largeBody = 32 << 10

// answers are the recorded responses to reads.
type answers struct {
	dir  string                 // of the large bodies
	from atomic.Pointer[string] // URL of the registry to record from; nil or "" means do not record

	mu    sync.RWMutex
	known map[question]answer
	files int
}

// question is what selects a response. A range is served from the whole body.
type question struct{ method, uri string }

type answer struct {
	status int
	header http.Header
	body   []byte
	file   string // path of a large body, or ""
}

func (a *answers) serve(w http.ResponseWriter, r *http.Request) {
	q := question{r.Method, r.RequestURI}
	a.mu.RLock()
	found, ok := a.known[q]
	a.mu.RUnlock()
	if from := a.from.Load(); !ok && from != nil && *from != "" {
		var err error
		if found, err = a.record(*from, q, r.Header); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		ok = true
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	header := w.Header()
	for name, values := range found.header {
		header[name] = values
	}
	if found.file == "" {
		w.WriteHeader(found.status)
		_, _ = w.Write(found.body)
		return
	}
	f, err := os.Open(found.file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	http.ServeContent(w, r, "", time.Time{}, f)
}

// record asks the registry and keeps its response.
func (a *answers) record(from string, q question, header http.Header) (answer, error) {
	req, err := http.NewRequest(q.method, from+q.uri, nil)
	if err != nil {
		return answer{}, err
	}
	req.Header = header.Clone()
	req.Header.Del("Range")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got := answer{status: resp.StatusCode, header: resp.Header}
	got.header.Del("Date") // net/http sets it for each response
	if link := got.header.Get("Link"); link != "" {
		got.header.Set("Link", strings.ReplaceAll(link, from, ""))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if resp.ContentLength >= largeBody && q.method == http.MethodGet {
		a.files++
		got.file = filepath.Join(a.dir, "body-"+strconv.Itoa(a.files))
		for _, name := range []string{"Content-Length", "Content-Range", "Accept-Ranges"} {
			got.header.Del(name) // ServeContent sets them
		}
		err = writeFile(got.file, resp.Body)
	} else {
		got.body, err = io.ReadAll(resp.Body)
	}
	if err != nil {
		return answer{}, err
	}
	if a.known == nil {
		a.known = map[question]answer{}
	}
	a.known[q] = got
	return got, nil
}

func writeFile(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
