package azure

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/registrykit/registry/storage/driver"
)

// Failure implements [gocloud.Store]. That an object is not there, or a condition failed, is only
// what the service has said of the blob, by a code: also an answer to a HEAD has it, and that of a
// proxy has none. A refusal tells nothing of the blob, nor does a container that is not there: the
// service cannot be used, which is the operator's affair.
func (s *store) Failure(err error) error {
	known := kind(err)
	if known == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", known, err)
}

// kind is the error of the package storage that err amounts to, or nil.
func kind(err error) error {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		switch code := bloberror.Code(answer.ErrorCode); code {
		case bloberror.ContainerNotFound, bloberror.ContainerBeingDeleted, bloberror.ContainerDisabled,
			bloberror.ResourceNotFound:
			return driver.ErrUnavailable
		case bloberror.BlobNotFound:
			return driver.ErrNotExist
		case bloberror.BlobAlreadyExists, bloberror.ConditionNotMet, bloberror.TargetConditionNotMet:
			return driver.ErrChanged
		case bloberror.ServerBusy, bloberror.OperationTimedOut, bloberror.InternalError, bloberror.InvalidBlockList:
			return driver.ErrUnavailable
		}
		switch status := answer.StatusCode; status {
		case http.StatusInsufficientStorage:
			return driver.ErrNoSpace
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests,
			http.StatusNotFound, http.StatusPreconditionFailed:
			return driver.ErrUnavailable
		default:
			if status >= 500 {
				return driver.ErrUnavailable
			}
		}
		return nil
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) {
		return driver.ErrUnavailable
	}
	return nil
}
