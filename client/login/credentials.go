package login

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/registrykit/registry/auth"
)

// Secret is text that prints as "***".
type Secret = auth.Secret

// Credentials are what a registry or its token service accepts. The zero value is anonymous. The
// secrets in them print as "***".
type Credentials struct {
	// Username and Password are for Basic authentication and for the token service.
	Username string
	Password Secret
	// IdentityToken is a refresh token of the token service (OAuth2, grant_type=refresh_token). If it
	// is not "", it is used instead of the password. Basic authentication, and a token service without
	// OAuth2, get it as the password if Password is "".
	IdentityToken Secret
	// RegistryToken is a bearer token that is sent to the registry as it is. If it is not "", no
	// token service is asked.
	RegistryToken Secret
	// Expires is when the credentials end, or zero. A Login asks its Source again before that.
	Expires time.Time
}

// Source returns credentials for a host: the host and port of the registry. A Login calls it again
// when credentials were refused or end, so a corrected password works without a restart. It is
// called by one goroutine at a time for each Login. See [Cached] for a Source that is expensive.
type Source func(ctx context.Context, host string) (Credentials, error)

// Static returns a Source of credentials that never change.
func Static(c Credentials) Source {
	return func(context.Context, string) (Credentials, error) { return c, nil }
}

// same reports whether two credentials are the same, whenever they end.
func (c Credentials) same(d Credentials) bool {
	c.Expires, d.Expires = time.Time{}, time.Time{}
	return c == d
}

// anonymous reports whether there are no credentials.
func (c Credentials) anonymous() bool { return c.same(Credentials{}) }

// basic returns the username and password for Basic authentication, and whether there are any.
func (c Credentials) basic() (username, password string, ok bool) {
	password = c.Password.Value()
	if password == "" {
		password = c.IdentityToken.Value()
	}
	username = c.Username
	if username == "" && c.IdentityToken != "" {
		username = tokenUser
	}
	return username, password, username != "" || password != ""
}

// tokenUser is the name of a user whose password is an identity token, as docker has it.
const tokenUser = "<token>"

// held are credentials of a Source.
type held struct {
	Credentials
	call  int // the number of the call of the Source that returned them
	asked time.Time
}

// ending reports whether the Source must be asked for newer credentials at the time now.
func (h held) ending(now time.Time) bool {
	if h.Expires.IsZero() {
		return false
	}
	early := min(max(h.Expires.Sub(h.asked), 0)/10, time.Minute)
	return !now.Before(h.Expires.Add(-early)) && now.Sub(h.asked) >= time.Second
}

// keeper keeps the credentials of a Source and calls the Source, one call at a time.
type keeper struct {
	source Source
	host   string
	turn   chan struct{} // has one element while the Source is called

	mu   sync.Mutex
	have held // call is 0 as long as there are none
}

func newKeeper(source Source, host string) *keeper {
	return &keeper{source: source, host: host, turn: make(chan struct{}, 1)}
}

func (k *keeper) current() held {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.have
}

// get returns the credentials. It calls the Source if there are none yet, or if they end.
//
// Errors: those of the Source; that of ctx.
func (k *keeper) get(ctx context.Context) (held, error) {
	h := k.current()
	now := time.Now()
	if h.call > 0 && !h.ending(now) {
		return h, nil
	}
	next, err := k.again(ctx, h.call)
	if err != nil && h.call > 0 && now.Before(h.Expires) {
		return h, nil
	}
	return next, err
}

// again calls the Source and returns new credentials, unless another goroutine has done so since the
// given call.
//
// Errors: those of the Source; that of ctx.
func (k *keeper) again(ctx context.Context, call int) (held, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return held{}, ctx.Err()
	}
	if h := k.current(); h.call != call {
		return h, nil
	}
	c, err := k.source(ctx, k.host)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.have.asked = time.Now() // postpones the next call, see ending
		return held{}, fmt.Errorf("login: credentials of %s: %w", k.host, err)
	}
	k.have = held{Credentials: c, call: call + 1, asked: time.Now()}
	return k.have, nil
}
