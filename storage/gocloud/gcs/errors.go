package gcs

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	cloud "cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/googleapi"

	"github.com/registrykit/registry/storage/driver"
)

// noBucket is part of the message of a 404 response that concerns the bucket. It contains spaces,
// so no name of an object or a bucket matches it.
const noBucket = "specified bucket does not exist"

const (
	codeNotFound  = http.StatusNotFound
	codeCondition = http.StatusPreconditionFailed
)

// code returns the HTTP status of the response that err carries, or 0 if it carries none.
func code(err error) int {
	var resp *googleapi.Error
	if errors.As(err, &resp) {
		return resp.Code
	}
	return 0
}

// Failure implements [gocloud.Store]. A 404 or 412 response of the JSON API has a message. One
// without a message comes from something else, such as a proxy, and is driver.ErrUnavailable. A 401
// or 403 response and a missing bucket say nothing about the object either: the operator must fix
// the configuration, so both are driver.ErrUnavailable. gcsblob would report the 403 as a missing
// object.
func (s *store) Failure(err error) error {
	var resp *googleapi.Error
	switch {
	case errors.Is(err, cloud.ErrBucketNotExist):
		return wrap(driver.ErrUnavailable, err)
	case errors.As(err, &resp):
		switch {
		case resp.Code == http.StatusNotModified:
			return wrap(driver.ErrNotModified, err)
		case resp.Code == codeNotFound && strings.Contains(resp.Message, noBucket),
			(resp.Code == codeNotFound || resp.Code == codeCondition) && resp.Message == "":
			return wrap(driver.ErrUnavailable, err)
		case resp.Code == codeNotFound:
			return wrap(driver.ErrNotExist, err)
		case resp.Code == codeCondition:
			return wrap(driver.ErrChanged, err)
		case isTransient(resp.Code), resp.Code == http.StatusUnauthorized, resp.Code == http.StatusForbidden:
			return wrap(driver.ErrUnavailable, err)
		}
		return err
	case errors.Is(err, cloud.ErrObjectNotExist):
		return wrap(driver.ErrNotExist, err)
	case isNetworkError(err):
		return wrap(driver.ErrUnavailable, err)
	}
	return nil
}

func wrap(known, err error) error { return fmt.Errorf("%w: %w", known, err) }

// unknownOutcome returns the error of a write whose outcome is unknown. The error wraps only
// driver.ErrUnavailable. The text of cause is included for the log, but errors.Is does not find
// cause.
func unknownOutcome(cause error) error {
	return fmt.Errorf("%w: a response was lost, and then: %s", driver.ErrUnavailable, cause.Error())
}

// isTransient reports whether another attempt may get another response.
func isTransient(code int) bool {
	return code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500
}

// isNetworkError reports whether err is a failure of the connection.
func isNetworkError(err error) bool {
	var (
		op      *net.OpError
		dns     *net.DNSError
		request *url.Error
		timeout net.Error
	)
	return cloud.ShouldRetry(err) || errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &request) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// backoff computes the pauses between attempts. Each pause is random, up to a bound that grows.
var backoff = gax.Backoff{Initial: 200 * time.Millisecond, Max: 5 * time.Second, Multiplier: 2}

// attempts limits the attempts of an operation. It also records whether a failed attempt may have
// had an effect. The client calls retry after each failure, from one goroutine at a time.
type attempts struct {
	most, failed int
	unsure       bool
}

func (s *store) attempts() *attempts { return &attempts{most: s.opts.Attempts} }

// retry reports whether the client must try again.
func (t *attempts) retry(err error) bool {
	if !cloud.ShouldRetry(err) {
		return false
	}
	t.failed++
	if code(err) != http.StatusTooManyRequests && !errors.Is(err, syscall.ECONNREFUSED) {
		t.unsure = true
	}
	return t.failed < t.most
}

// progress is called after a part has been uploaded. The next part has all its attempts again.
func (t *attempts) progress() { t.failed = 0 }
