package gocloud

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"gocloud.dev/gcerrors"

	"github.com/registrykit/registry/storage/driver"
)

// failure returns err with the operation, the key and the error of the package driver that it
// means. It returns nil for nil.
func (d *Driver) failure(op, key string, err error) error {
	if err == nil {
		return nil
	}
	if !isClassified(err) {
		err = d.engine.failure(err)
	}
	return &fs.PathError{Op: "gocloud: " + op, Path: key, Err: err}
}

// isClassified reports whether an error already wraps one that callers of a Driver test for.
func isClassified(err error) bool {
	for _, known := range []error{
		driver.ErrNotExist, driver.ErrExist, driver.ErrChanged, driver.ErrNotModified, driver.ErrNoSpace, driver.ErrKey,
		driver.ErrUnavailable, context.Canceled, context.DeadlineExceeded, fs.ErrInvalid, errors.ErrUnsupported,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// wrap returns an error that wraps both known, an error of the package driver, and its cause err.
func wrap(known, err error) error { return fmt.Errorf("%w: %w", known, err) }

// classify wraps an error of a local bucket by its code of gocloud.dev. It leaves out the code of a
// failed precondition, whose meaning depends on the operation.
func classify(err error) error {
	var failed *bodyError
	if errors.As(err, &failed) {
		return err // an error of the caller's body
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return wrap(driver.ErrNoSpace, err)
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return wrap(driver.ErrNotExist, err)
	case gcerrors.ResourceExhausted, gcerrors.DeadlineExceeded, gcerrors.Internal:
		return wrap(driver.ErrUnavailable, err)
	}
	return err
}

// bodyError is an error of the body of a Put.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading the body: " + e.err.Error() }

func (e *bodyError) Unwrap() error { return e.err }
