// Package contain calls functions of others, and turns their panics into errors.
package contain

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
)

// ErrExit is returned if the function ended its goroutine by runtime.Goexit, as t.FailNow does.
// Only a call in a goroutine of its own can return it, see [Go].
var ErrExit = errors.New("ended its goroutine")

// Call returns the error of f. If f panics, the error has the value and the place of the panic.
func Call(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v (%s)", p, place())
		}
	}()
	return f()
}

// Go calls f in a new goroutine, and then done with the result of [Call] or ErrExit.
func Go(f func() error, done func(error)) {
	go func() {
		err := ErrExit
		defer func() { done(err) }()
		err = Call(f)
	}()
}

// place returns the function, file and line of the panic that is being recovered.
func place() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		if panicking && !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s, %s:%d", path.Base(f.Function), path.Base(f.File), f.Line)
		}
		panicking = panicking || f.Function == "runtime.gopanic"
		if !more {
			return "unknown place"
		}
	}
}
