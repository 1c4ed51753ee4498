package webhook

import (
	"net/http"
	"time"

	"github.com/registrykit/registry/internal/retryafter"
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
	wait, _ := retryafter.Parse(value, now)
	return min(wait, limit)
}
