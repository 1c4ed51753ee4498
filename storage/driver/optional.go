package driver

import (
	"context"
	"time"
)

// URLSigner is implemented by a [Driver] that can hand out URLs of objects. With
// storage.Options.Redirect, the registry redirects pulls of blobs to such URLs instead of sending
// the bytes itself.
type URLSigner interface {
	// SignedURL returns a URL by which anyone can GET the object at key, for at least expiry. The
	// URL must stop working soon after that, because it bypasses the authorisation of the registry.
	// SignedURL does not check whether the object exists.
	//
	// Errors: errors.ErrUnsupported if this storage cannot sign; ErrKey.
	SignedURL(ctx context.Context, key string, expiry time.Duration) (string, error)
}

// Sweeper is implemented by a [Driver] whose Delete leaves a tombstone in the storage. On storage
// that has conditional writes but no conditional delete, a Delete on a condition writes a
// tombstone: a small object that all methods of the Driver treat as absent. Without Sweep,
// tombstones take up space forever.
type Sweeper interface {
	// Sweep removes the tombstones that were written before the given time at keys that begin with
	// prefix, which satisfies [ValidPrefix]. It returns the number of tombstones removed, also with
	// an error; another call continues. The caller guarantees that nothing is put at these keys any
	// more: Sweep may remove an object that is put at the same time.
	Sweep(ctx context.Context, prefix string, before time.Time) (int, error)
}

// SingleProcess is implemented by a [Driver] whose conditional writes hold within one process only,
// although other processes can reach the storage. Garbage collection depends on conditional writes,
// so storage.Store.Collect refuses such a Driver unless storage.CollectOptions.Exclusive is set. A
// wrapper of a Driver must forward it; see "Optional abilities" in the package comment.
type SingleProcess interface {
	// SingleProcess returns the reason why conditions do not hold between processes, for an error
	// message. It returns "" if they do.
	SingleProcess() (reason string)
}
