// Package options reads optional parameters.
package options

// Value returns what opts points to, or the zero value if opts is nil. The result is a copy, so
// that a function can fill in defaults without changing the options of its caller.
func Value[T any](opts *T) T {
	if opts == nil {
		var zero T
		return zero
	}
	return *opts
}

// Default sets an option that has its zero value.
func Default[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}
