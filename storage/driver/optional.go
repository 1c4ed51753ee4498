package driver

import (
	"context"
	"time"
)

// URLSigner is an optional ability of a [Driver]: a URL by which anyone can GET one object for a
// while.
type URLSigner interface {
	// SignedURL returns a URL for a GET of the object at key that works for at least expiry. It
	// does not check that there is an object.
	//
	// Errors: errors.ErrUnsupported.
	SignedURL(ctx context.Context, key string, expiry time.Duration) (string, error)
}

// Sweeper is an optional ability of a [Driver] that leaves something in the storage of what was
// removed on a condition.
type Sweeper interface {
	// Sweep removes what remains of objects whose keys begin with prefix and that were removed
	// before a time, and returns of how many. The caller knows that nobody puts anything at these
	// keys any more: what is put there at the same moment may be removed as well.
	Sweep(ctx context.Context, prefix string, before time.Time) (int, error)
}

// SingleProcess is an optional ability of a [Driver] whose conditions may hold less far than the storage
// can be reached.
type SingleProcess interface {
	// SingleProcess returns why the conditions of Put and Delete do not hold against other processes on
	// the same storage; "" if they do.
	SingleProcess() (reason string)
}
