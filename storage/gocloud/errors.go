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

// failure returns err with the operation and the key, and with the error of the package storage
// that it amounts to; nil for nil.
func (d *Driver) failure(op, key string, err error) error {
	if err == nil {
		return nil
	}
	if !isClassified(err) {
		err = d.engine.failure(err)
	}
	return &fs.PathError{Op: "gocloud: " + op, Path: key, Err: err}
}

// isClassified reports whether an error says already what a Driver has to say.
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

// wrap returns err as one that is also an error of the package storage; the cause is kept.
func wrap(known, err error) error { return fmt.Errorf("%w: %w", known, err) }

// classify sorts an error by its code. A precondition that failed is not among them: what it means
// depends on the operation.
func classify(err error) error {
	var failed *bodyError
	if errors.As(err, &failed) {
		return err // the caller's own
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
