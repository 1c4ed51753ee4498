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

// Failure implements [gocloud.Store]. An object is missing, or a condition has failed, only if the
// service reports that by an error code about the blob. Even the response to a HEAD has such a
// code, and the response of a proxy has none. A refusal or a missing container says nothing about
// the blob: the service is unavailable until the operator changes that.
func (s *store) Failure(err error) error {
	known := kind(err)
	if known == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", known, err)
}

// kind returns the error of the package driver that err means, or nil.
func kind(err error) error {
	var resp *azcore.ResponseError
	if errors.As(err, &resp) {
		switch code := bloberror.Code(resp.ErrorCode); code {
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
		switch status := resp.StatusCode; status {
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
