package strictjson

import (
	"errors"
	"fmt"
)

// Error is the type of every error of this package. Its text may be sent to a client: it is
// printable, quotes little of the input, and is short for every input.
type Error struct {
	// Field is the place of the defect, such as "layers[3].digest", or "" for the whole content.
	Field string
	// Problem states what is wrong.
	Problem string
	// Err is the error of another package that Problem describes, or nil. For example, it may wrap
	// reference.ErrDigest.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Problem
	}
	return e.Field + ": " + e.Problem
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Invalid returns an Error. The text that args add must be bounded and quoted.
func Invalid(format string, args ...any) error {
	return &Error{Problem: fmt.Sprintf(format, args...)}
}

// In returns err with field in front of its Field, or nil if err is nil.
func In(field string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Field: field, Problem: err.Error(), Err: err}
	}
	outer := *e
	switch {
	case e.Field == "":
		outer.Field = field
	case e.Field[0] == '[':
		outer.Field = field + e.Field
	default:
		outer.Field = field + "." + e.Field
	}
	return &outer
}
