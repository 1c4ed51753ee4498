package api

import (
	"context"
	"io"
	"net/http"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/auth"
)

// Visitor is the sender of a request to another handler of the same program, such as a page. It is a
// client whose requests go to the API without leaving the process, as the sender of the request that
// [API.Visit] was called with. So the same guard decides, and the same audit records are made. A
// Visitor is valid during its request, and safe for concurrent use.
type Visitor struct {
	*client.Client
	api      *API
	request  *http.Request
	identity auth.Identity
}

// Visit identifies the sender of a request to another handler, by Options.Authenticator.
//
// Errors: those of registry.Registry.Caller.
func (a *API) Visit(r *http.Request) (*Visitor, error) {
	caller, err := a.registry.Caller(r, a.opts.Authenticator)
	if err != nil {
		return nil, err
	}
	v := &Visitor{api: a, request: r, identity: caller.Identity()}
	v.Client, err = client.New("http://api.invalid", &client.Options{HTTP: &http.Client{Transport: v},
		UserAgent: r.UserAgent()})
	return v, err
}

// Identity returns the identity of the sender.
func (v *Visitor) Identity() auth.Identity { return v.identity }

// Backend returns the registry as the sender sees it.
func (v *Visitor) Backend() registry.Backend { return v.api.registry.Backend(v.identity) }

// Allows reports whether the sender has all of accesses. It makes no audit record. A page calls it to
// leave out buttons that would not work.
//
// Errors: those of registry.Caller.Allows.
func (v *Visitor) Allows(ctx context.Context, accesses ...auth.Access) (bool, error) {
	return v.api.registry.Allows(ctx, v.identity, accesses...)
}

// visitorKey is the key of the identity of a visitor in the context of a request.
type visitorKey struct{}

// authenticator returns what identifies the sender of a request: for a visitor, the identity that it
// has already.
func (a *API) authenticator(ctx context.Context) auth.Authenticator {
	if v, ok := ctx.Value(visitorKey{}).(*Visitor); ok {
		return auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) { return v.identity, nil })
	}
	return a.opts.Authenticator
}

// ours are the headers that belong to the request of the API alone, and are not copied to it from the
// request of the sender.
var ours = []string{"Accept", "Content-Type", "Content-Length", "If-Match", "If-None-Match", "If-Modified-Since",
	"If-Unmodified-Since", "If-Range", "Range", "Expect", "Connection", "Transfer-Encoding", "Accept-Encoding"}

// RoundTrip serves a request of the client. It implements http.RoundTripper.
func (v *Visitor) RoundTrip(r *http.Request) (*http.Response, error) {
	inner := r.WithContext(context.WithValue(r.Context(), visitorKey{}, v))
	inner.Header = v.request.Header.Clone()
	for _, name := range ours {
		inner.Header.Del(name)
		if values := r.Header.Values(name); len(values) > 0 {
			inner.Header[name] = values
		}
	}
	inner.Host, inner.RemoteAddr, inner.TLS = v.request.Host, v.request.RemoteAddr, v.request.TLS
	inner.RequestURI = r.URL.RequestURI()
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	answer := newPipedResponse()
	// A page that has failed leaves a body unread. Its request ends then, and the API must not wait for ever.
	stop := context.AfterFunc(r.Context(), func() { answer.abandon(context.Cause(r.Context())) })
	go func() {
		defer stop()
		defer inner.Body.Close()
		defer answer.finish()
		v.api.route(answer, inner)
	}()
	select {
	case <-answer.ready:
		return answer.response(r), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// pipedResponse is a ResponseWriter whose body is read by the client of a visitor while the API writes it.
type pipedResponse struct {
	header http.Header
	status int
	sent   http.Header
	ready  chan struct{}
	reader *io.PipeReader
	writer *io.PipeWriter
}

func newPipedResponse() *pipedResponse {
	p := &pipedResponse{header: http.Header{}, ready: make(chan struct{})}
	p.reader, p.writer = io.Pipe()
	return p
}

func (p *pipedResponse) Header() http.Header { return p.header }

func (p *pipedResponse) WriteHeader(status int) {
	if p.status != 0 || status < 200 {
		return
	}
	p.status, p.sent = status, p.header.Clone()
	close(p.ready)
}

func (p *pipedResponse) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.writer.Write(b)
}

// finish ends the response. A handler that panics has failed.
func (p *pipedResponse) finish() {
	if thrown := recover(); thrown != nil {
		p.WriteHeader(http.StatusInternalServerError)
		p.writer.CloseWithError(io.ErrUnexpectedEOF)
		return
	}
	p.WriteHeader(http.StatusOK)
	_ = p.writer.Close() // never fails
}

// abandon makes further writes fail.
func (p *pipedResponse) abandon(err error) { p.reader.CloseWithError(err) }

// response returns the response to a request.
func (p *pipedResponse) response(r *http.Request) *http.Response {
	return &http.Response{Status: http.StatusText(p.status), StatusCode: p.status, Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor: 1, Header: p.sent, Body: p.reader, ContentLength: -1, Request: r}
}

// Has reports whether the API has a part, by its name in the description, such as "users".
func (a *API) Has(part string) bool {
	for i := range a.routes {
		if a.routes[i].part == part {
			return true
		}
	}
	return false
}
