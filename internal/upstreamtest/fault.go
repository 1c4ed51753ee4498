package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Match selects requests. The zero value selects all requests for content: all except those for
// [Token].
type Match struct {
	Method string // "" means any
	Kind   Kind   // "" means any except Token
	// Repository and Ref, unless "", are those of the path.
	Repository, Ref string
	// Skip is the number of matching requests that are not selected at first.
	Skip int
	// Times is the number of requests that are selected. 0 means all.
	Times int
}

// broken is a fault and the requests that it applies to.
type broken struct {
	match Match
	fault Fault
	seen  int
}

// Break applies a fault to the requests that m selects, until repair is called.
func (s *Server) Break(m Match, f Fault) (repair func()) {
	b := &broken{match: m, fault: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks = append(s.breaks, b)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.breaks = slices.DeleteFunc(s.breaks, func(other *broken) bool { return other == b })
	}
}

// Repair removes all faults.
func (s *Server) Repair() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks = nil
}

// faults returns the faults of a request. The caller holds s.mu.
func (s *Server) faults(r Request) (all []Fault) {
	for _, b := range s.breaks {
		m := b.match
		if m.Method != "" && m.Method != r.Method || m.Kind != "" && m.Kind != r.Kind ||
			m.Kind == "" && r.Kind == Token || m.Repository != "" && m.Repository != r.Repository ||
			m.Ref != "" && m.Ref != r.Ref {
			continue
		}
		if b.seen++; b.seen > m.Skip && (m.Times == 0 || b.seen <= m.Skip+m.Times) {
			all = append(all, b.fault)
		}
	}
	return all
}

// Reply is a response that the server is about to send. A [Fault] changes it.
type Reply struct {
	Request *http.Request
	// Status, Header and Content are the response before a range is cut out of it. The server adds
	// Content-Length, unless Header has one.
	Status  int
	Header  http.Header
	Content []byte
	// NoRanges makes the server send all of a blob.
	NoRanges bool
	// Unpaged makes the server send all tags on one page without Link; AbsoluteLink makes the Link
	// an absolute URL.
	Unpaged, AbsoluteLink bool
	// Before, unless nil, is called before the header is sent.
	Before func()
	// CutAt is the number of bytes of the body after which the connection breaks, or -1.
	CutAt int64
	// HoldAt is the number of bytes of the body after which Hold is called, or -1.
	HoldAt int64
	Hold   func()
	// Chunk and Pause, unless 0, slow the body down: after each Chunk bytes comes a pause.
	Chunk int
	Pause time.Duration

	s *Server
}

// wait blocks until ch is closed, the request ends, or the test ends.
func (r *Reply) wait(ch <-chan struct{}) {
	select {
	case <-ch:
	case <-r.Request.Context().Done():
	case <-r.s.done:
	}
}

// Fault changes a response.
type Fault func(*Reply)

// Status makes the server answer with a status and an error of the distribution spec. headers are
// pairs of a name and a value, such as "Retry-After", "5".
func Status(status int, headers ...string) Fault {
	return func(r *Reply) {
		r.Status, r.Header = status, http.Header{"Content-Type": {"application/json"}}
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		r.Content = errorBody(status)
	}
}

// Header sets a header. An empty value removes it; then the server does not add it either.
func Header(name, value string) Fault {
	return func(r *Reply) {
		if r.Header[http.CanonicalHeaderKey(name)] = []string{value}; value == "" {
			r.Header[http.CanonicalHeaderKey(name)] = nil
		}
	}
}

// ETag sets the entity tag of blobs, with its quotes. By default it is the digest.
func ETag(tag string) Fault { return Header("ETag", tag) }

// Flip changes one byte of the content.
func Flip(at int) Fault {
	return func(r *Reply) {
		if at < len(r.Content) {
			r.Content = slices.Clone(r.Content)
			r.Content[at] ^= 0x55
		}
	}
}

// Replace replaces the content.
func Replace(content []byte) Fault { return func(r *Reply) { r.Content = slices.Clone(content) } }

// Short removes n bytes from the end of the content, and states the smaller length.
func Short(n int) Fault {
	return func(r *Reply) { r.Content = r.Content[:max(0, len(r.Content)-n)] }
}

// Long adds n bytes at the end of the content, and states the greater length.
func Long(n int) Fault {
	return func(r *Reply) { r.Content = append(slices.Clone(r.Content), make([]byte, n)...) }
}

// Gzip compresses the content and says so in Content-Encoding.
func Gzip() Fault {
	return func(r *Reply) {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(r.Content)
		_ = w.Close()
		r.Content, r.NoRanges = b.Bytes(), true
		r.Header.Set("Content-Encoding", "gzip")
	}
}

// NoRanges makes the server send all of a blob whatever range was asked for.
func NoRanges() Fault { return func(r *Reply) { r.NoRanges = true } }

// NoLength makes the server send no Content-Length: the body is chunked.
func NoLength() Fault { return Header("Content-Length", "") }

// Cut breaks the connection after n bytes of the body.
func Cut(n int64) Fault { return func(r *Reply) { r.CutAt = n } }

// HangHeader makes the server accept the request and say nothing, until the client gives up.
func HangHeader() Fault { return HoldHeader(nil) }

// HangBody makes the server fall silent after n bytes of the body, until the client gives up.
func HangBody(n int64) Fault { return HoldBody(n, nil) }

// HoldHeader makes the server wait until ch is closed before it sends the header.
func HoldHeader(ch <-chan struct{}) Fault {
	return func(r *Reply) { r.Before = func() { r.wait(ch) } }
}

// HoldBody makes the server wait after n bytes of the body until ch is closed.
func HoldBody(n int64, ch <-chan struct{}) Fault {
	return func(r *Reply) { r.HoldAt, r.Hold = n, func() { r.wait(ch) } }
}

// Slow makes the server pause after each chunk bytes of the body.
func Slow(chunk int, pause time.Duration) Fault {
	return func(r *Reply) { r.Chunk, r.Pause = chunk, pause }
}

// Delay makes the server pause before the header.
func Delay(d time.Duration) Fault {
	return func(r *Reply) { r.Before = func() { r.sleep(d) } }
}

// Redirect makes the server answer 307 with a Location, absolute or relative. "DIGEST" in it stands
// for the last part of the path, so that "/storage/DIGEST" is a good target for blobs.
func Redirect(location string) Fault {
	return func(r *Reply) {
		r.Status, r.Content = http.StatusTemporaryRedirect, nil
		r.Header = http.Header{"Location": {strings.ReplaceAll(location, "DIGEST", path.Base(r.Request.URL.Path))}}
	}
}

// RateLimit sends the headers of Docker Hub's limit.
func RateLimit(limit, remaining int) Fault {
	return func(r *Reply) {
		r.Header.Set("Ratelimit-Limit", strconv.Itoa(limit)+";w=21600")
		r.Header.Set("Ratelimit-Remaining", strconv.Itoa(remaining)+";w=21600")
	}
}

// Unpaged makes the server send all tags at once, whatever the client asks for.
func Unpaged() Fault { return func(r *Reply) { r.Unpaged = true } }

// AbsoluteLink makes the links between pages of tags absolute. They are relative by default.
func AbsoluteLink() Fault { return func(r *Reply) { r.AbsoluteLink = true } }
