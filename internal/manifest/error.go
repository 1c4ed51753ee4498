package manifest

import (
	"errors"
	"fmt"
)

// Error is the type of every error that [Parse] returns. Its text may be sent to the client: it is printable, quotes
// little of the input, and is short however the input looks. On the wire it is MANIFEST_INVALID.
type Error struct {
	// Field is where the defect is, as in "layers[3].digest", or "" for the whole content.
	Field string
	// Problem says what is wrong.
	Problem string
	// Err is the cause that Problem describes, if another package found it, such as an error that wraps
	// reference.ErrDigest; else nil.
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

// invalid returns an Error. What args bring into the text must be bounded and quoted.
func invalid(format string, args ...any) error {
	return &Error{Problem: fmt.Sprintf(format, args...)}
}

// in returns err, which is nil or occurred in a field, with that field put before the place it states.
func in(field string, err error) error {
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
