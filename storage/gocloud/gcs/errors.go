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

// noBucket is in the message of a 404 that is about the bucket. No name of an object or a bucket
// has spaces.
const noBucket = "specified bucket does not exist"

const (
	codeNotFound  = http.StatusNotFound
	codeCondition = http.StatusPreconditionFailed
)

// code returns the status of the answer that err is, or 0.
func code(err error) int {
	var answer *googleapi.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}

// Failure implements [gocloud.Store]. A 404 or 412 of the JSON API has a message: without one
// something else has answered, such as a proxy. A refusal, which gcsblob takes for the absence of
// the object, tells nothing of it, nor does a bucket that is not there: the store cannot be used,
// which is the operator's affair.
func (s *store) Failure(err error) error {
	var answer *googleapi.Error
	switch {
	case errors.Is(err, cloud.ErrBucketNotExist):
		return wrap(driver.ErrUnavailable, err)
	case errors.As(err, &answer):
		switch {
		case answer.Code == http.StatusNotModified:
			return wrap(driver.ErrNotModified, err)
		case answer.Code == codeNotFound && strings.Contains(answer.Message, noBucket),
			(answer.Code == codeNotFound || answer.Code == codeCondition) && answer.Message == "":
			return wrap(driver.ErrUnavailable, err)
		case answer.Code == codeNotFound:
			return wrap(driver.ErrNotExist, err)
		case answer.Code == codeCondition:
			return wrap(driver.ErrChanged, err)
		case isTransient(answer.Code), answer.Code == http.StatusUnauthorized, answer.Code == http.StatusForbidden:
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

// unknownOutcome is the error of a change of which nobody can tell whether it was made. The cause
// is for the log, and not what the error is.
func unknownOutcome(cause error) error {
	return fmt.Errorf("%w: a response was lost, and then: %s", driver.ErrUnavailable, cause.Error())
}

// isTransient reports whether another attempt may give another answer.
func isTransient(code int) bool {
	return code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500
}

// isNetworkError reports whether err is that of a connection.
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

// backoff are the pauses between attempts; each is random, up to what is here.
var backoff = gax.Backoff{Initial: 200 * time.Millisecond, Max: 5 * time.Second, Multiplier: 2}

// attempts bounds the attempts of an operation, and remembers whether one that failed may have had
// an effect. The client asks it after each failure, from one goroutine at a time.
type attempts struct {
	most, failed int
	unsure       bool
}

func (s *store) attempts() *attempts { return &attempts{most: s.opts.Attempts} }

// retry reports whether the client shall try again.
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

// progress is told when a part has been uploaded: the next one has all its attempts.
func (t *attempts) progress() { t.failed = 0 }
