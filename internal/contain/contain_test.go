package contain_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/contain"
)

func TestCallReturnsErrorsAndPanics(t *testing.T) {
	down := errors.New("down")
	require.NoError(t, contain.Call(func() error { return nil }))
	require.Equal(t, down, contain.Call(func() error { return down }))
	require.ErrorContains(t, contain.Call(func() error { panic("oh") }), "panic: oh (contain_test.TestCall")
	var m map[string]int
	err := contain.Call(func() error { m["a"] = 1; return nil })
	require.ErrorContains(t, err, "assignment to entry in nil map (contain_test.TestCall")
	require.ErrorContains(t, err, "contain_test.go:")
}

func TestGoReportsTheEndOfItsGoroutine(t *testing.T) {
	for name, row := range map[string]struct {
		f    func() error
		want string
	}{
		"exit":  {func() error { runtime.Goexit(); return nil }, "ended its goroutine"},
		"panic": {func() error { panic("oh") }, "panic: oh"},
		"error": {func() error { return errors.New("down") }, "down"},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			contain.Go(row.f, func(err error) { done <- err })
			require.ErrorContains(t, <-done, row.want)
		})
	}
}
