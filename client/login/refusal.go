package login

import (
	"time"
)

// refusal remembers that credentials were refused, so that a login with the same ones is repeated
// only after a pause.
type refusal struct {
	credentials Credentials
	err         error
	count       int
	until       time.Time
}

// maxPause is the maximum time between two logins with refused credentials.
const maxPause = time.Minute

// pause returns the time to wait after count refusals: a second, doubled up to a minute.
func pause(count int) time.Duration { return min(time.Second<<min(count, 10), maxPause) }

// holds reports whether c must not be tried at the time now.
func (r refusal) holds(now time.Time, c Credentials) bool {
	return r.err != nil && now.Before(r.until) && r.credentials.same(c)
}

// again returns the refusal after c was refused with err.
func (r refusal) again(now time.Time, c Credentials, err error) refusal {
	count := 0
	// The pause is short again when the credentials are others, or have not been refused for a while.
	if r.err != nil && r.credentials.same(c) && now.Before(r.until.Add(2*maxPause)) {
		count = r.count + 1
	}
	return refusal{credentials: c, err: err, count: count, until: now.Add(pause(count))}
}
