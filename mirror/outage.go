package mirror

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror/internal/upstream"
)

// question describes a request that an upstream has failed to answer.
type question struct {
	// cached reports whether the store has an answer that may be outdated.
	cached bool
	// unknown is the error for content that does not exist.
	unknown *registry.Error
	// caller is the caller whose credentials were used, or nil for those of the mirror.
	caller *caller
	// missing is how long the upstream has said that it does not exist.
	missing time.Duration
}

// answer is what a client gets when an upstream has failed.
type answer struct {
	// stale means: what the store has, with a warning.
	stale bool
	// gone means: the mirror forgets what the store has, too.
	gone bool
	// err is the error for the client, unless stale is set.
	err error
}

// failure decides what a client gets when an upstream has failed with err. It is the only place
// where that is decided:
//
//	upstream                  | the store has it               | the store does not have it
//	404, 410                  | KeepDeleted or DeletedGrace:   | 404
//	                          | stale; otherwise 404           |
//	401, 403 to the mirror    | stale                          | 404, the reason is logged
//	401, 403 to the caller    | 401 or 403                     | 401 or 403
//	429                       | stale                          | 429 with its Retry-After
//	5xx, no connection, other | stale                          | 503
//	wrong content             | stale                          | 502
//
// Content that is asked for by digest does not come here if the store has it.
func (o *origin) failure(q *question, err error) answer {
	var own *decision
	switch {
	case errors.As(err, &own):
		return answer{err: own.err}
	case q.caller != nil && errors.Is(err, upstream.ErrRefused):
		return answer{err: q.caller.refused(err)}
	}
	missing := isMissing(err)
	switch {
	case missing && q.cached && !o.KeepDeleted && q.missing >= o.DeletedGrace:
		return answer{gone: true, err: q.unknown.WithCause(err)}
	case q.cached:
		return answer{stale: true, err: err}
	case missing, errors.Is(err, upstream.ErrRefused):
		return answer{err: q.unknown.WithCause(err)}
	case isWrong(err):
		return answer{err: upstream.ErrContent.WithCause(err)}
	case errors.Is(err, registry.ErrTooManyRequests):
		var limit *registry.Error
		errors.As(err, &limit)
		return answer{err: registry.ErrTooManyRequests.WithMessage("the upstream limits the requests of this mirror").
			WithRetryAfter(limit.RetryAfter()).WithCause(err)}
	}
	return answer{err: registry.ErrUnavailable.WithMessage("the upstream does not respond").
		WithRetryAfter(retryAfter(err)).WithCause(err)}
}

// isMissing reports whether an upstream has said that something does not exist.
// Such an error further down the chain, among the causes of another error, does not count.
func isMissing(err error) bool {
	var e *registry.Error
	if !errors.As(err, &e) {
		return false
	}
	kind := e.Sentinel()
	return kind == registry.ErrManifestUnknown || kind == registry.ErrBlobUnknown || kind == registry.ErrNameUnknown
}

// isWrong reports whether an upstream has sent wrong content: upstream.ErrContent, or an error of
// package fill with the same status.
func isWrong(err error) bool {
	var e *registry.Error
	return errors.As(err, &e) && e.Status() == http.StatusBadGateway
}

// decision is an error of this mirror, by a rule or by Options.Admit, and not one of the upstream.
type decision struct{ err error }

// Error implements error.
func (d *decision) Error() string { return d.err.Error() }

// Unwrap returns the error for the client.
func (d *decision) Unwrap() error { return d.err }

// retryAfter returns the time that an error states, or a second.
func retryAfter(err error) time.Duration {
	var e *registry.Error
	if errors.As(err, &e) && e.RetryAfter() > 0 {
		return e.RetryAfter()
	}
	return time.Second
}

// logInterval is the least time between two lines about failures of one upstream.
const logInterval = 10 * time.Second

// report logs a failure of an upstream, but not each one: a failing upstream fails for every client.
// That something does not exist is no failure.
func (m *Mirror) report(o *origin, repo string, err error) {
	var own *decision
	if isMissing(err) || errors.As(err, &own) {
		return
	}
	now := time.Now().UnixNano()
	last := o.reported.Load()
	if now-last < int64(logInterval) && last != 0 || !o.reported.CompareAndSwap(last, now) {
		return
	}
	m.log.Warn("an upstream has failed", "upstream", o.Name, "repository", repo, "error", err)
}

// warnStale warns the client that an upstream has not confirmed the response.
func (m *Mirror) warnStale(ctx context.Context, o *origin) {
	m.count.stale.Add(1)
	registry.Warn(ctx, registry.WarnStale, "not confirmed by "+o.Name)
}

// mayAsk returns an error if the mirror must not send a request to an upstream for the caller.
//
// Errors: unknown, if the mirror is offline or the caller may not cause requests.
func (m *Mirror) mayAsk(ctx context.Context, p *pull, unknown *registry.Error) error {
	switch {
	case m.opts.Offline:
		return unknown.WithMessage("the mirror is offline and does not have this content")
	case m.opts.MayFetch != nil && !m.opts.MayFetch(ctx, p.origin.Name, p.name):
		return unknown
	}
	return nil
}
