package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/mirror/internal/fill"
)

const (
	// probeWait is the maximum time to wait for the result of a probing request of another caller.
	probeWait = time.Second
	// callTime is the maximum time of a call that is not for the body of a blob.
	callTime = 5 * time.Minute
)

// errNoRanges is returned by a call for a URL that has no ranges. The next URL is asked.
var errNoRanges = registry.ErrUnsupported.WithMessage("the upstream has no ranges")

// call is a question to the upstream.
type call struct {
	kind string
	// content is what is asked for. Its digest is "" if it is not known.
	content content
	// ask asks a URL.
	ask func(ctx context.Context, e *endpoint, c *client.Client, a *attempt) error
}

// within is do for a call that must end within callTime.
func (u *Upstream) within(ctx context.Context, c call) error {
	limited, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	err := u.do(limited, c)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		u.stats.failure("timeout")
		return registry.ErrUnavailable.WithCause(fmt.Errorf("upstream: %s: the response takes longer than %v",
			u.opts.Name, callTime))
	}
	return err
}

// do asks the URLs until one gives an answer.
//
// Errors: those of StatManifest; errNoRanges; fill.ErrChanged; that of ctx.
func (u *Upstream) do(ctx context.Context, c call) error {
	round, err := u.round(ctx, c)
	if errors.Is(err, registry.ErrUnavailable) && round.probe != nil && !round.asked {
		// Another caller is finding out whether a URL responds again.
		t := time.NewTimer(probeWait)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-round.probe:
		case <-t.C:
		}
		_, err = u.round(ctx, c)
	}
	return err
}

// round is the result of asking each URL once.
type round struct {
	asked bool            // whether a request was sent
	probe <-chan struct{} // that of a URL that was not asked because of it, or nil

	errs    []error // of the URLs that gave no answer
	content bool    // whether a URL sent wrong content
	changed bool    // whether a URL has other content than before
	ranges  bool    // whether a URL has no ranges
	// retry is the shortest time until a URL may be asked again, or 0.
	retry time.Duration
}

// round asks each URL once, until one gives an answer.
func (u *Upstream) round(ctx context.Context, c call) (round, error) {
	var r round
	endpoints := u.order(c.content)
	if len(endpoints) == 0 {
		return r, fmt.Errorf("%w: %s: all URLs have sent wrong content for %s", ErrContent, u.opts.Name, c.content.digest)
	}
	for _, e := range endpoints {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if err := u.limit.check(u.opts.Name); err != nil {
			return r, err
		}
		if rest := e.api.state(); rest != nil {
			r.leave(e, rest)
			continue
		}
		a := &attempt{kind: c.kind, via: u.via, began: time.Now()}
		err := c.ask(context.WithValue(ctx, attemptKey{}, a), e, u.clients[e.index], a)
		if err == nil {
			return r, nil
		}
		if final := u.verdict(ctx, &r, c, e, a, err); final != nil {
			return r, final
		}
	}
	return r, r.err(u.opts.Name)
}

// leave notes that an endpoint was not asked.
func (r *round) leave(e *endpoint, rest *resting) {
	r.wait(rest)
	if rest.probe != nil {
		r.probe = rest.probe
	}
	r.errs = append(r.errs, fmt.Errorf("%s: %w", e.url, rest))
}

// wait notes when a server may be asked again.
func (r *round) wait(rest *resting) {
	if r.retry == 0 || rest.wait < r.retry {
		r.retry = rest.wait
	}
}

// err returns the error of a round in which no URL gave an answer.
func (r *round) err(name string) error {
	text := make([]string, len(r.errs))
	for i, err := range r.errs {
		text[i] = err.Error()
	}
	// The errors are not wrapped: what a URL has said, such as that a blob is unknown to the storage
	// that it redirects to, is not the answer of the upstream.
	cause := fmt.Errorf("upstream: %s: %s", name, strings.Join(text, "; "))
	switch {
	case r.changed:
		return fmt.Errorf("%w: %w", fill.ErrChanged, cause)
	case r.content:
		return fmt.Errorf("%w: %w", ErrContent, cause)
	case r.ranges:
		return errNoRanges.WithCause(cause)
	}
	return registry.ErrUnavailable.WithRetryAfter(seconds(r.retry)).WithCause(cause)
}

// verdict decides what the error of an endpoint means. It returns the error of the call, or nil if
// the next endpoint is to be asked.
func (u *Upstream) verdict(ctx context.Context, r *round, c call, e *endpoint, a *attempt, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var rests *resting
	if errors.As(err, &rests) {
		r.leave(e, rests)
		return nil
	}
	r.asked = true
	switch {
	case errors.Is(err, fill.ErrChanged):
		r.changed = true
	case errors.Is(err, errNoRanges):
		r.ranges = true
	case errors.Is(err, client.ErrContent), errors.Is(err, client.ErrTooLarge):
		u.stats.failure("digest")
		if r.content = true; c.content.digest != "" {
			u.blame.wrong(e, c.content)
		}
	case a.failure != "":
	case a.foreign && a.status >= http.StatusMultipleChoices:
		// The registry has the content, and its storage refuses a link that has expired, say.
		u.stats.failure("redirect")
	default:
		if final := u.answer(c, e, a, err); final != nil && (e.index == 0 || !isUnknown(final)) {
			return final
		}
		// That something does not exist is the word of the first URL alone: while it gives no answer,
		// another URL that has only a part must not make the mirror forget what it has.
	}
	if limited := u.limit.check(u.opts.Name); limited != nil {
		return limited // a response to this request, or to another one meanwhile
	}
	if rest := cmp.Or(a.server, e.api).state(); rest != nil {
		r.wait(rest)
	}
	r.errs = append(r.errs, fmt.Errorf("%s: %w", e.url, err))
	return nil
}

// isUnknown reports whether err says that something does not exist.
func isUnknown(err error) bool {
	return errors.Is(err, registry.ErrBlobUnknown) || errors.Is(err, registry.ErrManifestUnknown) ||
		errors.Is(err, registry.ErrNameUnknown)
}

// answer returns the error that an answer of the registry or of its token service means, or nil if
// it is no answer.
func (u *Upstream) answer(c call, e *endpoint, a *attempt, err error) error {
	switch {
	case errors.Is(err, login.ErrRealm), errors.Is(err, registry.ErrUnauthorized):
		u.stats.failure("401")
		return fmt.Errorf("%w: %s: %w", ErrRefused, u.opts.Name, err)
	case errors.Is(err, registry.ErrDenied):
		u.stats.failure("403")
		return fmt.Errorf("%w: %s: %w", ErrRefused, u.opts.Name, err)
	case errors.Is(err, registry.ErrTooManyRequests):
		if limited := u.limit.check(u.opts.Name); limited != nil {
			return limited
		}
		return err
	case errors.Is(err, registry.ErrBlobUnknown), errors.Is(err, registry.ErrManifestUnknown),
		errors.Is(err, registry.ErrNameUnknown), errors.Is(err, registry.ErrRangeInvalid),
		errors.Is(err, registry.ErrDigestInvalid), errors.Is(err, registry.ErrNameInvalid),
		errors.Is(err, registry.ErrTagInvalid):
		return err
	case errors.Is(err, errIdle):
		u.stats.failure("idle")
		if c.kind != "blob" {
			e.api.stall(a.began) // a server that sends headers only is as good as dead
		}
	case a.status >= http.StatusMultipleChoices && a.status < http.StatusBadRequest:
		u.stats.failure("redirect")
	case a.status < http.StatusBadRequest:
		u.stats.failure("broken")
	default:
		u.stats.failure("other")
	}
	return nil
}
