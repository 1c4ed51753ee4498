package upstream

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/retryafter"
)

const (
	// defaultRetryAfter is how long the upstream is left alone after a 429 without Retry-After.
	defaultRetryAfter = 30 * time.Second
	// maxRetryAfter is the maximum time that the upstream is left alone after a 429.
	maxRetryAfter = time.Hour
)

// limit is what the upstream has said about its limits.
type limit struct {
	mu               sync.Mutex
	until            time.Time // after a 429
	known            bool      // whether max and remaining have been sent
	maximum, remains int64
}

// see reads the headers of a response.
func (l *limit) see(res *http.Response) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maximum, ok := rate(res.Header.Get("Ratelimit-Limit"))
	remains, also := rate(res.Header.Get("Ratelimit-Remaining"))
	if ok && also {
		l.known, l.maximum, l.remains = true, maximum, remains
	}
	if res.StatusCode == http.StatusTooManyRequests {
		d, ok := retryAfter(res.Header)
		if !ok {
			d = defaultRetryAfter
		}
		if until := time.Now().Add(min(d, maxRetryAfter)); until.After(l.until) {
			l.until = until
		}
	}
}

// check returns registry.ErrTooManyRequests, with the time that remains, while the upstream must be
// left alone after a 429.
func (l *limit) check(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := time.Until(l.until)
	if d <= 0 {
		return nil
	}
	return registry.ErrTooManyRequests.WithRetryAfter(seconds(d)).WithCause(
		fmt.Errorf("upstream: %s: it has responded with 429, and may be asked again in %v", name, seconds(d)))
}

// rate returns the number in a header such as "100;w=21600" (Docker Hub).
func rate(value string) (int64, bool) {
	number, _, _ := strings.Cut(value, ";")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	return n, err == nil && n >= 0
}

// retryAfter returns the time of the header Retry-After.
func retryAfter(h http.Header) (time.Duration, bool) {
	return retryafter.Parse(h.Get("Retry-After"), time.Now())
}

// seconds rounds d up to full seconds, as Retry-After has them.
func seconds(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}
