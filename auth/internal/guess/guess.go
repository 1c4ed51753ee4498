// Package guess limits the guessing of passwords, for Authenticators that check passwords. It also remembers right
// passwords, so that the next login costs microseconds.
//
// A [Guard] limits failed logins by address, and by name and address. It never limits by name alone: otherwise an
// attacker could lock out a user at another address. Each attempt counts as a failure before its outcome is known:
// otherwise many concurrent attempts could pass the limit together. Credentials that were right before from the same
// address are always accepted there, and not counted.
package guess

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/limit"
	"github.com/registrykit/registry/internal/lru"
)

const (
	// MaxVerified is the maximum number of right credentials that a Guard remembers.
	MaxVerified = 20_000

	// slotTimeout is the maximum time that a request waits for a slot.
	slotTimeout = 10 * time.Second
	// busyRetry is the Retry-After of a request that has waited in vain.
	busyRetry = 5 * time.Second
)

// Options are the options of [New]. All but TrustedProxies are required.
type Options struct {
	// Failures is the maximum number of failed logins with one name from one address, and AddressFailures that
	// of failed logins with any name from one address. See package limit for the time.
	Failures, AddressFailures int
	// Parallel is the maximum number of concurrent calls of Login.Check.
	Parallel int
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For header is used.
	TrustedProxies []netip.Prefix
	// Now is the clock.
	Now func() time.Time
}

// Guard limits logins, and remembers right credentials. It is safe for concurrent use.
type Guard struct {
	macs      macs
	proxies   []netip.Prefix
	verified  *lru.Cache[mac, string] // the version of the password that was right, by credentials
	flights   flights
	slots     chan struct{} // its capacity is Options.Parallel
	addresses *limit.Limiter
	logins    *limit.Limiter // by name and address
}

// New returns a Guard. It starts no goroutine.
func New(o Options) *Guard {
	return &Guard{
		macs: newMACs(), proxies: slices.Clone(o.TrustedProxies), verified: lru.New[mac, string](MaxVerified),
		slots: make(chan struct{}, o.Parallel), addresses: limit.New(o.AddressFailures, o.Now),
		logins: limit.New(o.Failures, o.Now),
	}
}

// Login is one login with a name and a password, of which only the password may contain NUL.
type Login struct {
	User, Password string
	// Valid reports whether the user can still log in with the password of a version, which Check has returned. The
	// Guard calls it as the last function before a login succeeds.
	Valid func(version string) (bool, error)
	// Check checks the password. version is a text that changes with the password of the user, such as its
	// hash.
	//
	// Errors: auth.ErrCredentials, which counts as a failure; any other does not.
	Check func(ctx context.Context) (version string, err error)
}

// Try returns nil if the password is right: because it was right before from the same address, or because l.Check
// says so. Concurrent logins with the same credentials from one address share one check. After too many failures, Try
// does not check the password.
//
// Errors: auth.ErrCredentials; *auth.LimitError after too many failures, or if the password could not be checked
// within ten seconds because of too many others; those of l.Valid and l.Check; the error of the context.
func (g *Guard) Try(r *http.Request, l Login) error {
	address := limit.Address(r, g.proxies)
	credentials := g.macs.of("credentials", address, l.User, l.Password)
	if _, ok, err := g.remembers(credentials, l.Valid); ok || err != nil {
		return err
	}
	version, err := g.flights.do(r.Context(), credentials, func(ctx context.Context) (string, error) {
		return g.check(ctx, credentials, address, l)
	})
	if err != nil {
		return err
	}
	if ok, err := l.Valid(version); ok || err != nil {
		return err
	}
	return fmt.Errorf("the user has changed during the login: %w", auth.ErrCredentials)
}

// remembers reports whether credentials were right before and their password is still valid. It returns the version of
// the password.
func (g *Guard) remembers(credentials mac, valid func(string) (bool, error)) (version string, ok bool, err error) {
	if version, ok = g.verified.Get(credentials); ok {
		ok, err = valid(version)
	}
	return version, ok, err
}

// check checks a password within the limits, and remembers it if it is right.
func (g *Guard) check(ctx context.Context, credentials mac, address netip.Prefix, l Login) (string, error) {
	version, ok, err := g.remembers(credentials, l.Valid)
	if ok || err != nil { // another request may just have checked it
		return version, err
	}
	byAddress := limit.Key(g.macs.of("address", address, "", ""))
	byLogin := limit.Key(g.macs.of("login", address, l.User, ""))
	// The address comes first, so that invented names do not fill the other limiter.
	if wait := g.addresses.Begin(byAddress); wait > 0 {
		return "", &auth.LimitError{RetryAfter: wait}
	}
	if wait := g.logins.Begin(byLogin); wait > 0 {
		g.addresses.Undo(byAddress)
		return "", &auth.LimitError{RetryAfter: wait}
	}
	err = g.withSlot(ctx, func() error {
		version, err = l.Check(ctx)
		return err
	})
	if !errors.Is(err, auth.ErrCredentials) {
		g.logins.Undo(byLogin)
		g.addresses.Undo(byAddress)
	}
	if err == nil {
		g.verified.Add(credentials, version, 1)
	}
	return version, err
}

// withSlot calls work when one of the Options.Parallel slots is free.
func (g *Guard) withSlot(ctx context.Context, work func() error) error {
	timer := time.NewTimer(slotTimeout)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
	case <-timer.C:
		return &auth.LimitError{RetryAfter: busyRetry}
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-g.slots }()
	if err := ctx.Err(); err != nil {
		return err
	}
	return work()
}

// Sizes returns the number of entries that callers have caused: right credentials, names with addresses,
// addresses, and checks in progress. Each is bounded.
func (g *Guard) Sizes() (verified, logins, addresses, flights int) {
	return g.verified.Len(), g.logins.Len(), g.addresses.Len(), g.flights.len()
}
