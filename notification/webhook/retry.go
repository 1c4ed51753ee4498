package webhook

import (
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry/notification"
)

// refused reports whether a status says that the receiver does not accept the request and will not
// accept it later. The operator of the receiver can mend most of the exceptions.
func refused(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusGone,
		http.StatusMisdirectedRequest, http.StatusLocked, http.StatusFailedDependency, http.StatusTooEarly,
		http.StatusTooManyRequests, http.StatusUnavailableForLegalReasons:
		return false
	}
	return status >= 400 && status < 500
}

// throttled reports whether a status may come with a Retry-After that counts.
func throttled(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// outcome returns the kind of error that callers look for, or nil.
func outcome(status int) error {
	switch {
	case status == http.StatusGone:
		return notification.ErrGone
	case refused(status):
		return notification.ErrRefused
	}
	return nil
}

// retryAfter reads the header Retry-After: seconds or a time. It returns at most limit, and 0 if the
// header is missing, malformed or names no time to come.
func retryAfter(value string, now time.Time, limit time.Duration) time.Duration {
	value = strings.TrimSpace(value)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds := time.Duration(0)
		for _, c := range value {
			if seconds = seconds*10 + time.Duration(c-'0'); seconds > limit/time.Second {
				return limit
			}
		}
		return seconds * time.Second
	}
	t, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), limit)
}
