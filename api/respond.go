package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const jsonType = "application/json"

// response is the answer to a request.
type response struct {
	// status is 200 if it is zero.
	status int
	// body becomes JSON. If it is nil, the status is 204 and there is no body.
	body any
	// tagged sends the ETag of version, or that of body if version is nil. A version leaves out what changes by itself.
	tagged  bool
	version any
	// location is the path of a new object, relative to the path of the API: "/v1/users/ann".
	location string
	// next is the position after the last element of a page, or "" on the last page.
	next string
	// stream writes a body of any length instead of body. contentType and fileName describe it.
	stream                func(w http.ResponseWriter) error
	contentType, fileName string
}

// found returns the response with an object and its ETag.
func found(v any) *response { return &response{body: v, tagged: true} }

// created returns the response with a new object.
func created(location string, v any) *response {
	return &response{status: http.StatusCreated, body: v, tagged: true, location: location}
}

// done returns a response without a body.
func done() *response { return &response{} }

// respond sends an answer. Nothing was sent if it returns an error.
func (a *API) respond(q *request, answer *response) error {
	h := q.writer.Header()
	if answer.location != "" {
		h.Set("Location", q.prefix()+answer.location)
	}
	if answer.next != "" {
		h.Set("Link", "<"+q.nextURL(answer.next)+`>; rel="next"`)
	}
	if answer.tagged {
		version := answer.version
		if version == nil {
			version = answer.body
		}
		h.Set("ETag", etag(version))
	}
	switch {
	case answer.stream != nil:
		return a.stream(q, answer)
	case answer.body == nil:
		q.writer.WriteHeader(http.StatusNoContent)
		return nil
	}
	b, err := json.Marshal(answer.body)
	if err != nil {
		return err
	}
	h.Set("Content-Type", jsonType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	q.writer.WriteHeader(max(answer.status, http.StatusOK))
	_, _ = q.writer.Write(b) // the client may be gone
	return nil
}

// stream sends a body of any length. A response that fails in the middle is cut off, so that the client does not take
// it for a complete one.
func (a *API) stream(q *request, answer *response) error {
	if q.Body != nil && q.Body != http.NoBody { // such a route takes none, and waiting for it could end the stream
		if _, err := io.CopyN(io.Discard, q.Body, maxBody+1); !errors.Is(err, io.EOF) {
			return errInvalid.WithMessage("the body could not be read, or is not expected")
		}
	}
	h := q.writer.Header()
	h.Set("Content-Type", answer.contentType)
	if answer.fileName != "" {
		h.Set("Content-Disposition", `attachment; filename="`+answer.fileName+`"`)
	}
	if q.Method == http.MethodHead {
		q.writer.WriteHeader(http.StatusOK)
		return nil
	}
	w := &started{ResponseWriter: q.writer}
	defer func() {
		if p := recover(); p != nil {
			if w.begun { // a Problem after it would make the response look complete
				a.log.ErrorContext(q.Context(), "response cut off", "method", q.Method, "path", q.URL.Path, "panic", p)
				p = http.ErrAbortHandler
			}
			panic(p)
		}
	}()
	err := answer.stream(w)
	switch {
	case err == nil:
		return nil
	case !w.begun:
		h.Del("Content-Disposition")
		return err
	}
	if !w.gone && q.Context().Err() == nil {
		a.log.ErrorContext(q.Context(), "response cut off", "method", q.Method, "path", q.URL.Path, "error", err)
	}
	panic(http.ErrAbortHandler)
}

// started notices whether a response has begun, and whether the client has gone.
type started struct {
	http.ResponseWriter
	begun, gone bool
}

func (s *started) Write(b []byte) (int, error) {
	s.begun = true
	n, err := s.ResponseWriter.Write(b)
	s.gone = s.gone || err != nil
	return n, err
}

func (s *started) WriteHeader(status int) {
	s.begun = true
	s.ResponseWriter.WriteHeader(status)
}

func (s *started) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// prefix returns what outer handlers have removed from the path, such as "/api".
func (q *request) prefix() string {
	u, err := url.ParseRequestURI(q.RequestURI)
	if err != nil {
		return ""
	}
	prefix, ok := strings.CutSuffix(u.EscapedPath(), q.URL.EscapedPath())
	if !ok || !strings.HasPrefix(prefix, "/") || strings.HasPrefix(prefix, "//") {
		return ""
	}
	return prefix
}

// nextURL returns the URL of the page after a position, relative to the host.
func (q *request) nextURL(position string) string {
	query := url.Values{}
	for name, values := range q.query {
		query[name] = values
	}
	query.Set("after", q.caller.SealCursor(q.list(), position))
	return q.prefix() + q.URL.EscapedPath() + "?" + query.Encode()
}
