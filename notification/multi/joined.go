package multi

import (
	"errors"

	"github.com/registrykit/registry/notification"
)

// joined is the error of several sinks. It has no method Unwrap, because the errors of a single
// sink must not speak for all of them: Is and As decide what a caller finds.
type joined struct {
	all     []error
	failing []error // those of sinks that are to be called again
}

func (j *joined) Error() string { return errors.Join(j.all...).Error() }

// Is reports whether target is found in the error of any sink. ErrGone is not found, because New
// returns it in another way.
func (j *joined) Is(target error) bool {
	found := 0
	for _, err := range j.failing {
		if errors.Is(err, target) {
			found++
		}
	}
	switch target {
	case notification.ErrGone:
		return false
	case notification.ErrRefused:
		return found > 0 && found == len(j.failing)
	}
	return found > 0
}

// As finds a value in the error of the first sink that has one. It finds no PartialError, and of
// several RetryErrors the one with the longest wait.
func (j *joined) As(target any) bool {
	switch target := target.(type) {
	case **notification.PartialError:
		return false
	case **notification.RetryError:
		return j.retry(target)
	}
	for _, err := range j.failing {
		if errors.As(err, target) {
			return true
		}
	}
	return false
}

func (j *joined) retry(target **notification.RetryError) bool {
	found := false
	for _, err := range j.failing {
		var r *notification.RetryError
		if errors.As(err, &r) && (!found || r.After > (*target).After) {
			*target, found = r, true
		}
	}
	return found
}
