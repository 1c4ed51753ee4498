package s3

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/registrykit/registry/storage"
)

// Failure implements [gocloud.Store]. That an object is not there is only what the store has said with 404. A refusal tells
// nothing of the object, nor does a bucket that is not there: the store cannot be used, which is the operator's affair.
func (s *store) Failure(err error) error {
	known := kind(err)
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
		return storage.ErrNoSpace
	case "NoSuchBucket", "NoSuchUpload", "RequestTimeout", "SlowDown", "Throttling", "ThrottlingException",
		"ExpiredToken", "InvalidToken", "TokenRefreshRequired": // S3 answers the last three with 400
		return storage.ErrUnavailable
	}
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() != 0 {
		switch status := answer.HTTPStatusCode(); status {
		case http.StatusNotModified:
			return storage.ErrNotModified
		case http.StatusNotFound:
			return storage.ErrNotExist
		case http.StatusPreconditionFailed:
			return storage.ErrChanged
		case http.StatusInsufficientStorage:
			return storage.ErrNoSpace
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
			return storage.ErrUnavailable
		default:
			if status >= 500 {
				return storage.ErrUnavailable
			}
		}
		return nil
	}
	var send *smithyhttp.RequestSendError
	var network net.Error
	if errors.As(err, &send) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return storage.ErrUnavailable
	}
	return nil
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isConflict reports whether a write was not decided, because another was at work at the same moment.
func isConflict(err error) bool {
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusConflict
}
