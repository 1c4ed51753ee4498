package mirror

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/mirror/internal/upstream"
	"github.com/registrykit/registry/reference"
)

// DefaultProof is the default of [Upstream].Proof.
const DefaultProof = 5 * time.Minute

// maxProofs is the maximum number of proofs that are remembered. A caller whose proof was forgotten
// proves the right again.
const maxProofs = 1 << 14

// callerID stands for the credentials of a caller: a MAC with a key of this process.
type callerID [sha256.Size]byte

// caller is who pulls from an upstream with PassThrough.
type caller struct {
	origin      *origin
	id          callerID
	credentials login.Credentials // zero for an anonymous caller
	anonymous   bool
}

// callerKey is the key of the *caller in a context.
type callerKey struct{}

// proofs are the rights that callers have proved to upstreams. It is memory of one process.
type proofs struct {
	key   [32]byte                       // of the MACs
	until *lru.Cache[proofOf, time.Time] // when a proof ends
	asked flights[struct{}]
}

// proofOf identifies a proof: credentials and a repository of the mirror.
type proofOf struct {
	id   callerID
	repo string
}

func newProofs() *proofs {
	p := &proofs{until: lru.New[proofOf, time.Time](maxProofs)}
	_, _ = rand.Read(p.key[:]) // never fails
	return p
}

// holds reports whether the caller of a pull has a proof that has not ended.
func (f *proofs) holds(p *pull) bool {
	until, ok := f.until.Get(proofOf{p.caller.id, p.repo})
	return ok && time.Now().Before(until)
}

// forget ends a proof.
func (f *proofs) forget(p *pull) { f.until.Remove(proofOf{p.caller.id, p.repo}) }

// newCaller returns the caller of a request to an upstream with PassThrough.
func (f *proofs) newCaller(o *origin, username, password string, anonymous bool) *caller {
	mac := hmac.New(sha256.New, f.key[:])
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(username)))
	for _, part := range []string{o.Name, "\x00", string(length[:]), username, password} {
		mac.Write([]byte(part))
	}
	c := &caller{origin: o, anonymous: anonymous}
	if !anonymous {
		c.credentials = login.Credentials{Username: username, Password: login.Secret(password)}
	}
	copy(c.id[:], mac.Sum(nil))
	return c
}

// callerOf returns the caller of an operation on an upstream with PassThrough. Without the
// credentials that Middleware has found for that very upstream, the caller is anonymous.
func (m *Mirror) callerOf(ctx context.Context, o *origin) *caller {
	if c, ok := ctx.Value(callerKey{}).(*caller); ok && c.origin == o {
		return c
	}
	return m.proofs.newCaller(o, "", "", true)
}

// refused returns the error for a caller whose credentials the upstream has refused.
func (c *caller) refused(err error) error {
	if c.anonymous {
		return registry.ErrUnauthorized.WithMessage("the upstream requires credentials").WithCause(err)
	}
	return registry.ErrDenied.WithMessage("the upstream refuses the credentials").WithCause(err)
}

// refusesCredentials reports whether an upstream, or the answer to its caller, has refused
// credentials.
func refusesCredentials(err error) bool {
	return errors.Is(err, upstream.ErrRefused) || errors.Is(err, registry.ErrUnauthorized) ||
		errors.Is(err, registry.ErrDenied)
}

// prove returns an error unless the caller of an upstream with PassThrough may pull from the
// repository. A recent proof is enough. Otherwise the caller's credentials are tried at the
// upstream with a HEAD of ref, or with a list of tags if ref is empty.
//
// Nothing is served before, neither content nor the fact that it exists.
//
// Errors: registry.ErrUnauthorized or ErrDenied if the upstream refuses; those of origin.failure.
func (m *Mirror) prove(ctx context.Context, p *pull, ref reference.Ref, blob bool) error {
	if p.caller == nil {
		return nil
	}
	key := proofOf{p.caller.id, p.repo}
	if m.proofs.holds(p) {
		return nil
	}
	unknown, what := unknownOf(ref, blob), ref.String()
	switch {
	case blob:
		what = blobRef(ref.Digest)
	case ref == reference.Ref{}:
		what = tagsRef
	}
	if m.opts.Offline {
		return registry.ErrUnavailable.WithMessage("the mirror is offline and cannot ask for the right of the caller")
	}
	if err := m.mayAsk(ctx, p, unknown); err != nil {
		return err
	}
	if m.missing.has(p, what) {
		return unknown
	}
	_, err := m.proofs.asked.do(ctx, p.flight(what), 0, func(func()) (struct{}, error) {
		if m.proofs.holds(p) {
			return struct{}{}, nil // another flight has landed in between
		}
		ctx, cancel := detached()
		defer cancel()
		if err := m.tryCredentials(ctx, p, ref, blob); err != nil {
			m.proofs.forget(p)
			m.missing.add(p, what, err)
			m.report(p.origin, p.repo, err)
			return struct{}{}, p.origin.failure(&question{unknown: unknown, caller: p.caller}, err).err
		}
		m.proofs.until.Add(key, time.Now().Add(p.origin.Proof), 1)
		return struct{}{}, nil
	})
	return err
}

// unknownOf returns the error for a missing blob, manifest or repository.
func unknownOf(ref reference.Ref, blob bool) *registry.Error {
	switch {
	case blob:
		return registry.ErrBlobUnknown
	case ref == reference.Ref{}:
		return registry.ErrNameUnknown
	}
	return registry.ErrManifestUnknown
}

// tryCredentials sends one request with the credentials of the caller.
func (m *Mirror) tryCredentials(ctx context.Context, p *pull, ref reference.Ref, blob bool) error {
	var err error
	switch {
	case blob:
		_, err = p.remote().StatBlob(ctx, p.name, ref.Digest)
	case ref == reference.Ref{}:
		_, _, err = p.remote().Tags(ctx, p.name, "", 1)
	default:
		desc, serr := p.remote().StatManifest(ctx, p.name, ref)
		if err = serr; err == nil && ref.Tag != "" {
			_, err = m.tagFound(ctx, p, ref.Tag, desc) // the TTL of the tag begins
		}
	}
	return err
}

// Middleware passes the Via header and the credentials of a request to the mirror. It wraps the
// handler of the registry:
//
//	http.Handle("/v2/", m.Middleware(reg))
//
// A mirror with Upstream.PassThrough needs it, and so does one that other mirrors pull from: the
// Via header of a request is sent on to upstreams, so that loops over several mirrors are noticed.
//
// For a request to a repository of such an upstream, it takes the header Authorization away, so the
// registry sees an anonymous caller, and keeps the credentials (Basic) for that upstream and no
// other. Credentials are never logged. If the upstream wants credentials, the response is a 401
// with a Basic challenge. All other requests pass unchanged.
//
// docker sends credentials only if the response to GET /v2/ is a 401 with a challenge. That is the
// task of registry.Options.Authenticator; see also package auth/foreign.
//
// The paths of the requests must begin with /v2/.
func (m *Mirror) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if via := strings.Join(r.Header.Values("Via"), ", "); via != "" {
			r = r.WithContext(context.WithValue(r.Context(), viaKey{}, lastVia(via)))
		}
		o := m.target(r)
		if o == nil || !o.PassThrough {
			next.ServeHTTP(w, r)
			return
		}
		username, password, ok := r.BasicAuth()
		ctx := context.WithValue(r.Context(), callerKey{}, m.proofs.newCaller(o, username, password, !ok))
		r = r.Clone(ctx)
		r.Header.Del("Authorization")
		c := &challenger{ResponseWriter: w}
		if _, ok := w.(io.ReaderFrom); ok {
			next.ServeHTTP(&fileChallenger{c}, r)
			return
		}
		next.ServeHTTP(c, r)
	})
}

// viaKey is the key of the Via header of a request in its context.
type viaKey struct{}

// maxVia is the maximum length of a Via header that is sent on, in bytes.
const maxVia = 2 << 10

// lastVia returns the last elements of a Via header that are not longer than maxVia together. Those
// at its start may come from a client; the mirrors of a loop are at its end.
func lastVia(via string) string {
	if len(via) <= maxVia {
		return via
	}
	_, rest, _ := strings.Cut(via[len(via)-maxVia-1:], ",")
	return strings.TrimSpace(rest)
}

// target returns the upstream that a request is about, or nil.
func (m *Mirror) target(r *http.Request) *origin {
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	if !ok {
		return nil
	}
	name := ""
	for _, part := range []string{"/manifests/", "/blobs/", "/referrers/", "/tags/"} {
		if i := strings.LastIndex(path, part); i > 0 && i > len(name) {
			name = path[:i]
		}
	}
	if reference.CheckName(name) != nil {
		return nil
	}
	q := registry.NameQuery{Repository: name, Request: r}
	if ns := r.URL.Query()["ns"]; len(ns) == 1 {
		q.Namespace = ns[0]
	}
	repo, err := m.names.resolve(q)
	if err != nil {
		return nil
	}
	o, _ := m.names.mirrored(repo)
	return o
}

// challenger adds a Basic challenge to a 401 that has none.
type challenger struct{ http.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (c *challenger) WriteHeader(status int) {
	if h := c.Header(); status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Basic realm="upstream"`)
	}
	c.ResponseWriter.WriteHeader(status)
}

// fileChallenger is a challenger over a connection to which the kernel can copy a file.
type fileChallenger struct{ *challenger }

// ReadFrom implements [io.ReaderFrom].
func (c *fileChallenger) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.ResponseWriter, r) }

// Unwrap returns the wrapped writer, for http.ResponseController.
func (c *challenger) Unwrap() http.ResponseWriter { return c.ResponseWriter }
