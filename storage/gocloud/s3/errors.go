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

// errNotFromStore is returned when something other than the store has responded, such as a proxy.
var errNotFromStore = fmt.Errorf("s3: this is not a response of the store: %w", driver.ErrUnavailable)

// requestID is a header by which responses of a store can be recognized. The response to a HEAD has
// no body that shows where it comes from.
const requestID = "X-Amz-Request-Id"

// Failure implements [gocloud.Store]. An object is missing only if the store reports that with
// status 404 and an error code of its own. A refusal or a missing bucket says nothing about the
// object: the store is unavailable until the operator changes that.
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

// kind returns the error of the package driver that err means, or nil.
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
			if status >= 500 || status < 300 { // a success that could not be decoded
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

// notFromStore reports whether err is a 404 whose body has no error code of the store. The client
// then makes up a code from the status.
func notFromStore(err error) bool {
	var operation *smithy.OperationError
	return status(err) == http.StatusNotFound && !strings.HasPrefix(code(err), "NoSuch") &&
		errors.As(err, &operation) && operation.OperationName != "HeadObject"
}

// noBucket reports whether err is a 404 to a HEAD that is about the bucket, as MinIO states in a
// header.
func noBucket(err error) bool {
	var resp *smithyhttp.ResponseError
	return status(err) == http.StatusNotFound && errors.As(err, &resp) &&
		resp.Response.Header.Get("X-Minio-Error-Code") == "NoSuchBucket"
}

// lacksRequestID reports whether err is a response with status 404 or 412 that lacks the header
// requestID.
func lacksRequestID(err error) bool {
	var resp *smithyhttp.ResponseError
	return (status(err) == http.StatusNotFound || status(err) == http.StatusPreconditionFailed) &&
		errors.As(err, &resp) && resp.Response.Header.Get(requestID) == ""
}

// status returns the status of the response that err represents, or 0.
func status(err error) int {
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) {
		return resp.HTTPStatusCode()
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

// isConflict reports whether the store did not decide a write because of another write at the same
// time.
func isConflict(err error) bool { return status(err) == http.StatusConflict }
