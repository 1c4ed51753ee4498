// Package retryafter reads the header Retry-After of a response.
package retryafter

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Parse returns the time to wait that the value of a header Retry-After states (RFC 9110, section
// 10.2.3): a number of seconds, or a date. A date in the past means zero. ok is false if the value is
// missing or malformed. The caller limits the time.
func Parse(value string, now time.Time) (wait time.Duration, ok bool) {
	const most = 1 << 31 // seconds
	value = strings.TrimSpace(value)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			n = most // it does not fit
		}
		return time.Duration(min(n, most)) * time.Second, true
	}
	t, err := http.ParseTime(value)
	return max(t.Sub(now), 0), err == nil
}
