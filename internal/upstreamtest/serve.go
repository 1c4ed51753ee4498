package upstreamtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// serve answers a request.
func (s *Server) serve(w http.ResponseWriter, req *http.Request) {
	r := parse(req)
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.arrived.Broadcast()
	reply := &Reply{Request: req, Status: http.StatusOK, Header: http.Header{}, CutAt: -1, HoldAt: -1, s: s}
	if r.Kind == Token {
		s.grant(reply)
	} else if s.authorized(r, reply) {
		s.look(r, reply)
	}
	faults := s.faults(r)
	s.mu.Unlock()
	for _, f := range faults {
		f(reply)
	}
	if r.Kind == Tags && reply.Status == http.StatusOK && reply.Content == nil {
		s.page(r, reply)
	}
	if (r.Kind == Blob || r.Kind == Storage) && reply.Status == http.StatusOK && !reply.NoRanges {
		reply.cutRange()
	}
	reply.send(w)
}

// parse returns what a request asks for.
func parse(req *http.Request) Request {
	r := Request{Method: req.Method, Kind: Other, Query: req.URL.RawQuery, Header: req.Header.Clone()}
	p, ok := strings.CutPrefix(req.URL.Path, "/v2/")
	switch {
	case req.URL.Path == "/token":
		r.Kind = Token
		return r
	case strings.HasPrefix(req.URL.Path, "/storage/"):
		r.Kind, r.Ref = Storage, strings.TrimPrefix(req.URL.Path, "/storage/")
		return r
	case ok && p == "":
		r.Kind = Base
		return r
	case !ok:
		return r
	}
	for _, part := range []struct {
		word string
		kind Kind
	}{{"/blobs/", Blob}, {"/manifests/", Manifest}, {"/referrers/", Referrers}} {
		if i := strings.LastIndex(p, part.word); i > 0 {
			r.Kind, r.Repository, r.Ref = part.kind, p[:i], p[i+len(part.word):]
			return r
		}
	}
	if name, ok := strings.CutSuffix(p, "/tags/list"); ok {
		r.Kind, r.Repository = Tags, name
	}
	return r
}

// look fills in what the server has. The caller holds s.mu.
func (s *Server) look(r Request, reply *Reply) {
	notFound := Status(http.StatusNotFound)
	repo := s.repos[r.Repository]
	switch {
	case r.Kind == Base:
		reply.Content = []byte("{}")
		return
	case r.Kind == Storage:
		for _, other := range s.repos {
			if content, ok := other.blobs[digest.Digest(r.Ref)]; ok {
				reply.blob(r.Ref, content)
				return
			}
		}
		notFound(reply)
		return
	case repo == nil:
		notFound(reply)
		return
	}
	switch r.Kind {
	case Blob:
		content, ok := repo.blobs[digest.Digest(r.Ref)]
		if !ok {
			notFound(reply)
			return
		}
		reply.blob(r.Ref, content)
		reply.Header.Set("Docker-Content-Digest", r.Ref)
	case Manifest:
		m, ok := repo.find(r.Ref)
		if !ok {
			notFound(reply)
			return
		}
		reply.Content = m.content
		reply.Header.Set("Content-Type", m.desc.MediaType)
		reply.Header.Set("Docker-Content-Digest", m.desc.Digest.String())
	case Referrers:
		reply.Content = repo.referrers(digest.Digest(r.Ref))
		reply.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	case Tags:
	default:
		notFound(reply)
	}
}

func (r *Reply) blob(ref string, content []byte) {
	r.Content = content
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("ETag", `"`+ref+`"`)
}

// page fills in a page of tags. A fault may have set another content before.
func (s *Server) page(r Request, reply *Reply) {
	s.mu.Lock()
	tags := []string{}
	if repo := s.repos[r.Repository]; repo != nil {
		for tag := range repo.tags {
			tags = append(tags, tag)
		}
	}
	s.mu.Unlock()
	slices.Sort(tags)
	q := reply.Request.URL.Query()
	if !reply.Unpaged {
		after := q.Get("last")
		tags = slices.DeleteFunc(tags, func(tag string) bool { return tag <= after })
		if n, err := strconv.Atoi(q.Get("n")); err == nil && n >= 0 && n < len(tags) {
			tags = tags[:n]
			if n > 0 {
				link := fmt.Sprintf("/v2/%s/tags/list?n=%d&last=%s", r.Repository, n, tags[n-1])
				if reply.AbsoluteLink {
					link = "http://" + reply.Request.Host + link
				}
				reply.Header.Set("Link", "<"+link+`>; rel="next"`)
			}
		}
	}
	reply.Header.Set("Content-Type", "application/json")
	reply.Content = encode(map[string]any{"name": r.Repository, "tags": tags})
}

// cutRange applies the header Range, if it has one range, and If-Range.
func (r *Reply) cutRange() {
	size := int64(len(r.Content))
	spec, ok := strings.CutPrefix(r.Request.Header.Get("Range"), "bytes=")
	first, last, found := strings.Cut(spec, "-")
	tag := r.Request.Header.Get("If-Range")
	if !ok || !found || strings.Contains(spec, ",") || tag != "" && tag != r.Header.Get("ETag") {
		return
	}
	from, err := strconv.ParseInt(first, 10, 64)
	to := size - 1
	if first == "" {
		n, _ := strconv.ParseInt(last, 10, 64)
		from, err = max(0, size-n), nil
	} else if n, err := strconv.ParseInt(last, 10, 64); err == nil {
		to = min(n, to)
	}
	if err != nil || from > to {
		Status(http.StatusRequestedRangeNotSatisfiable, "Content-Range", fmt.Sprintf("bytes */%d", size))(r)
		return
	}
	r.Status = http.StatusPartialContent
	r.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, size))
	r.Content = r.Content[from : to+1]
}

// send sends the response, with the faults of its body.
func (r *Reply) send(w http.ResponseWriter) {
	if r.Before != nil {
		r.Before()
	}
	if r.Request.Context().Err() != nil {
		return
	}
	if _, ok := r.Header["Content-Length"]; !ok {
		r.Header.Set("Content-Length", strconv.Itoa(len(r.Content)))
	}
	for name, values := range r.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(r.Status)
	if r.Request.Method == http.MethodHead {
		return
	}
	flush := func() { _ = http.NewResponseController(w).Flush() }
	if r.Header["Content-Length"] == nil {
		flush() // the body is chunked
	}
	for at := int64(0); ; {
		if r.HoldAt >= 0 && at >= r.HoldAt {
			flush()
			r.Hold()
			r.HoldAt = -1
			if r.Request.Context().Err() != nil {
				return
			}
		}
		if r.CutAt >= 0 && at >= r.CutAt {
			flush()
			panic(http.ErrAbortHandler)
		}
		end := int64(len(r.Content))
		if at >= end {
			return
		}
		if r.Chunk > 0 {
			end = min(end, at+int64(r.Chunk))
		}
		if r.HoldAt > at {
			end = min(end, r.HoldAt)
		}
		if r.CutAt > at {
			end = min(end, r.CutAt)
		}
		n, err := w.Write(r.Content[at:end])
		if at += int64(n); err != nil {
			return
		}
		if r.Chunk > 0 && r.Pause > 0 && at < int64(len(r.Content)) {
			flush()
			r.sleep(r.Pause)
		}
	}
}

// sleep waits for d, or until the request or the test ends.
func (r *Reply) sleep(d time.Duration) {
	over := make(chan struct{})
	defer time.AfterFunc(d, func() { close(over) }).Stop()
	r.wait(over)
}

// errorBody returns an error of the distribution spec.
func errorBody(status int) []byte {
	code := map[int]string{
		http.StatusUnauthorized: "UNAUTHORIZED", http.StatusForbidden: "DENIED",
		http.StatusTooManyRequests: "TOOMANYREQUESTS",
	}[status]
	b, _ := json.Marshal(map[string]any{"errors": []any{map[string]any{
		"code": cmp.Or(code, "UNKNOWN"), "message": http.StatusText(status)}}})
	return b
}
