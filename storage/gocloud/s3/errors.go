package s3

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/registrykit/registry/storage/driver"
)

// errNotFromStore is that something else has answered, such as a proxy.
var errNotFromStore = fmt.Errorf("s3: this is no answer of the store: %w", driver.ErrUnavailable)

// requestID is the header with which stores sign their answers. A HEAD has no body that says whose
// it is.
const requestID = "X-Amz-Request-Id"

// Failure implements [gocloud.Store]. That an object is not there is only what the store has said
// with 404, by a code of its own. A refusal tells nothing of the object, nor does a bucket that is
// not there: the store cannot be used, which is the operator's affair.
func (s *store) Failure(err error) error {
	known := kind(err)
	if notFromStore(err) || noBucket(err) || s.sendsRequestID && lacksRequestID(err) {
		known = driver.ErrUnavailable
	}
	if known == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", known, err)
}

// kind is the error of the package storage that err amounts to, or nil.
func kind(err error) error {
	if err == nil {
		return nil
	}
	switch code(err) {
	case "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientCapacity":
		return driver.ErrNoSpace
	case "NoSuchBucket", "NoSuchUpload", "RequestTimeout", "SlowDown", "Throttling", "ThrottlingException",
		"ExpiredToken", "InvalidToken", "TokenRefreshRequired": // S3 answers the last three with 400
		return driver.ErrUnavailable
	}
	if status := status(err); status != 0 {
		switch status {
		case http.StatusNotModified:
			return driver.ErrNotModified
		case http.StatusNotFound:
			return driver.ErrNotExist
		case http.StatusPreconditionFailed:
			return driver.ErrChanged
		case http.StatusInsufficientStorage:
			return driver.ErrNoSpace
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusConflict,
			http.StatusTooManyRequests:
			return driver.ErrUnavailable
		default:
			if status >= 500 || status < 300 { // it is good, but could not be read
				return driver.ErrUnavailable
			}
		}
		return nil
	}
	var send *smithyhttp.RequestSendError
	var network net.Error
	if errors.As(err, &send) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return driver.ErrUnavailable
	}
	return nil
}

// notFromStore reports whether err is a 404 that is not the store's: with a body that does not have its
// code. The client makes a code of the status.
func notFromStore(err error) bool {
	var operation *smithy.OperationError
	return status(err) == http.StatusNotFound && !strings.HasPrefix(code(err), "NoSuch") &&
		errors.As(err, &operation) && operation.OperationName != "HeadObject"
}

// noBucket reports whether err is a 404 to a HEAD of which MinIO says in a header that it is about
// the bucket.
func noBucket(err error) bool {
	var answer *smithyhttp.ResponseError
	return status(err) == http.StatusNotFound && errors.As(err, &answer) &&
		answer.Response.Header.Get("X-Minio-Error-Code") == "NoSuchBucket"
}

// lacksRequestID reports whether err is an answer from which something follows, without the header that
// those of the store have.
func lacksRequestID(err error) bool {
	var answer *smithyhttp.ResponseError
	return (status(err) == http.StatusNotFound || status(err) == http.StatusPreconditionFailed) &&
		errors.As(err, &answer) && answer.Response.Header.Get(requestID) == ""
}

// status returns the status of the answer that err is, or 0.
func status(err error) int {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isConflict reports whether a write was not decided, because another was at work at the same
// moment.
func isConflict(err error) bool { return status(err) == http.StatusConflict }
