package htpasswd_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/htpasswd"
	"github.com/registrykit/registry/auth/internal/secretvalue"
)

// TestBruteForce tries a thousand passwords, one after the other or at once, with one name or many.
// Only a few are checked.
func TestBruteForce(t *testing.T) {
	for _, c := range []struct {
		name    string
		attempt func(i int) (address, name, password string)
		checks  int64
	}{
		{"one name", func(i int) (string, string, string) { return "192.0.2.66", "ann", fmt.Sprint("guess", i) },
			htpasswd.DefaultFailures},
		{"one name that is not there", func(i int) (string, string, string) {
			return "192.0.2.66", "eve",
				fmt.Sprint("guess", i)
		}, htpasswd.DefaultFailures},
		{"the same wrong password", func(int) (string, string, string) { return "192.0.2.66", "ann", "guess" },
			htpasswd.DefaultFailures},
		{"one password, many names", func(i int) (string, string, string) {
			return "192.0.2.66", fmt.Sprint("name", i),
				"guess"
		}, htpasswd.DefaultAddressFailures},
		{"addresses of one network", func(i int) (string, string, string) {
			return fmt.Sprintf("[2001:db8::%x]", i), "ann", fmt.Sprint("guess", i)
		}, htpasswd.DefaultFailures},
	} {
		for _, together := range []bool{false, true} {
			s := newSite(t, line(t, "ann", "secret", 5), "", nil)
			s.accepted("ann", "secret")
			s.checks.Store(0)
			var wg sync.WaitGroup
			var mu sync.Mutex
			refused, wait := int64(0), 0
			try := func(i int) {
				address, name, password := c.attempt(i)
				err := s.login(address, name, password)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, auth.ErrCredentials):
					refused++
				case limited(err):
					wait++
				default:
					t.Errorf("%s: %v", c.name, err)
				}
			}
			for i := range 1000 {
				if together {
					wg.Go(func() { try(i) })
				} else {
					try(i)
				}
			}
			wg.Wait()
			checked := s.checks.Load()
			require.LessOrEqual(t, checked, c.checks, c.name)
			if !together {
				require.Equal(t, c.checks, refused, c.name)
				require.EqualValues(t, 1000-c.checks, wait, c.name)
			}

			// The user is not locked out, neither at the address where the password was right
			// before nor at another. At the address of the guesses, even the right password is not
			// checked, unless the limit was not reached: concurrent equal guesses count once, and
			// those that wait for a check for too long do not count.
			s.accepted("ann", "secret")
			require.NoError(t, s.login("198.51.100.1", "ann", "secret"))
			if address, name, _ := c.attempt(0); checked == c.checks {
				require.True(t, limited(s.login(address, name, "secret")), c.name)
			}
			s.write(line(t, "ann", "new", 5))
			s.pass(htpasswd.Interval)
			s.accepted("ann", "new")
		}
	}
}

// TestRightPasswordFromOtherAddressLimited: a password was right at one address. Another address,
// which is already limited, does not learn that its guess is right.
func TestRightPasswordFromOtherAddressLimited(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 4), "", nil)
	s.accepted("ann", "secret")
	for i := range 1000 {
		require.Error(t, s.login("192.0.2.66", "ann", fmt.Sprint("guess", i)))
	}
	for range 10 {
		require.True(t, limited(s.login("192.0.2.66", "ann", "secret")))
	}
	s.accepted("ann", "secret")
	require.EqualValues(t, 1+htpasswd.DefaultFailures, s.checks.Load())
}

// TestLimitAllowsOneAttemptAfterAWhile makes an attempt each second for an hour. After the free
// failures, one attempt is checked every two minutes.
func TestLimitAllowsOneAttemptAfterAWhile(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 4), "", &htpasswd.Options{Failures: 5})
	for range 60 * 60 { // one attempt each second for an hour
		_ = s.login("192.0.2.66", "ann", "guess")
		s.pass(time.Second)
	}
	require.EqualValues(t, 5+30-1, s.checks.Load())
	_ = s.login("192.0.2.66", "ann", "guess")
	var l *auth.LimitError
	require.ErrorAs(t, s.login("192.0.2.66", "ann", "secret"), &l, "not known to be right, so it has to wait as well")
	require.LessOrEqual(t, l.RetryAfter, 2*time.Minute)
	s.pass(l.RetryAfter)
	require.NoError(t, s.login("192.0.2.66", "ann", "secret"))
}

// TestSuccessfulLoginsNotCounted logs in many users from one address. None of the logins counts as
// a failure.
func TestSuccessfulLoginsNotCounted(t *testing.T) {
	lines := ""
	for i := range 40 {
		lines += line(t, fmt.Sprint("user", i), "secret", 4)
	}
	s := newSite(t, lines, "", &htpasswd.Options{Failures: 1, AddressFailures: 3})
	for i := range 40 {
		s.accepted(fmt.Sprint("user", i), "secret")
	}
	s.refused("user0", "wrong")
	require.True(t, limited(s.login("192.0.2.1", "user0", "wrong")))
	s.refused("user1", "wrong")
	s.refused("user2", "wrong")
	require.True(t, limited(s.login("192.0.2.1", "user3", "wrong")), "all from the address")
	require.NotErrorIs(t, s.login("192.0.2.1", "user3", "wrong"), auth.ErrCredentials)
	require.ErrorIs(t, s.login("192.0.2.2", "user0", "wrong"), auth.ErrCredentials)
}

// TestForwardedForOnlyFromTrustedProxies: X-Forwarded-For counts only from a listed proxy. A client
// that invents the header can neither avoid the limit nor lock out others.
func TestForwardedForOnlyFromTrustedProxies(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 4), "", &htpasswd.Options{Failures: 3,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	try := func(peer, forwarded string) error {
		r := request(peer, "ann", "wrong")
		r.Header.Set("X-Forwarded-For", forwarded)
		_, err := s.file.Authenticate(r)
		return err
	}
	for i := range 10 {
		err := try("192.0.2.66", fmt.Sprintf("198.51.100.%d", i))
		require.Equal(t, i >= 3, limited(err), i)
	}
	for i := range 10 {
		err := try("10.0.0.1", fmt.Sprintf("198.51.100.%d, 198.51.100.66", i))
		require.Equal(t, i >= 3, limited(err), i)
	}
	require.ErrorIs(t, try("10.0.0.1", "198.51.100.1"), auth.ErrCredentials)
}

// TestMemoryBounded: callers cannot fill the memory, whatever they send.
func TestMemoryBounded(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 4), "", nil)
	s.accepted("ann", "secret")
	for i := range 1000 {
		_ = s.login("192.0.2.1", fmt.Sprint("name", i), "x")
	}
	_, logins, addresses, flights := s.file.Remembered()
	require.Equal(t, htpasswd.DefaultAddressFailures, logins,
		"who may not try does not fill the table, and so does not empty it of others")
	require.Equal(t, 1, addresses)
	require.Zero(t, flights)
}

// blocked returns a site where a bcrypt is running that ends when release is called.
func blocked(t *testing.T, opts *htpasswd.Options) (s *site, release func()) {
	s = newSite(t, line(t, "ann", "secret", 4)+line(t, "bob", "other", 4), "", opts)
	began, end := make(chan struct{}, 100), make(chan struct{})
	s.before(func() {
		began <- struct{}{}
		<-end
	})
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.login("192.0.2.66", "eve", "x") })
	<-began
	return s, func() {
		close(end)
		wg.Wait()
	}
}

// TestCancelledLoginNotCounted: a request that waits for a slot can be cancelled. It does not count
// as a failure.
func TestCancelledLoginNotCounted(t *testing.T) {
	s, release := blocked(t, &htpasswd.Options{Parallel: 1, Failures: 1})
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := s.file.Authenticate(request("192.0.2.1", "ann", "secret").WithContext(ctx))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancel()
	}
	require.EqualValues(t, 1, s.checks.Load())
	release()
	s.accepted("ann", "secret")
	require.EqualValues(t, 2, s.checks.Load())
}

// TestSharedCheckFirstCallerCancelledOthersContinue: several requests share the check of the same
// credentials. The first is cancelled, and the others succeed.
func TestSharedCheckFirstCallerCancelledOthersContinue(t *testing.T) {
	s, release := blocked(t, &htpasswd.Options{Parallel: 1, Failures: 1})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := s.file.Authenticate(request("192.0.2.1", "ann", "secret").WithContext(ctx))
		require.ErrorIs(t, err, context.Canceled)
	})
	require.Eventually(t, func() bool { _, _, _, flights := s.file.Remembered(); return flights == 2 }, 5*time.Second,
		time.Millisecond)
	for range 10 {
		wg.Go(func() { require.NoError(t, s.login("192.0.2.1", "ann", "secret")) })
	}
	gone, leave := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer leave()
	_, err := s.file.Authenticate(request("192.0.2.1", "ann", "secret").WithContext(gone))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	cancel()
	time.Sleep(10 * time.Millisecond)
	release()
	wg.Wait()
	require.EqualValues(t, 2, s.checks.Load())
}

// TestParallelChecksLimited: at most Options.Parallel passwords are checked at a time.
func TestParallelChecksLimited(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 4), "", &htpasswd.Options{Parallel: 3})
	var mu sync.Mutex
	running, most, full := 0, 0, make(chan struct{})
	reached := sync.OnceFunc(func() { close(full) })
	s.before(func() {
		mu.Lock()
		running++
		if most = max(most, running); most >= 3 {
			reached()
		}
		mu.Unlock()
		select { // the first checks wait until there are as many as there may be
		case <-full:
		case <-time.After(30 * time.Second):
		}
		time.Sleep(2 * time.Millisecond)
		mu.Lock()
		running--
		mu.Unlock()
	})
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() { _ = s.login(fmt.Sprintf("192.0.2.%d", i), "ann", "wrong") })
	}
	wg.Wait()
	require.Equal(t, 3, most)
	require.EqualValues(t, 60, s.checks.Load())
}

// TestPasswordsNotPrinted: printing a File or an error does not reveal passwords.
func TestPasswordsNotPrinted(t *testing.T) {
	s := newSite(t, line(t, "ann", "hunter2", 4), "", nil)
	s.accepted("ann", "hunter2")
	err := s.login("192.0.2.1", "ann", "hunter3")
	for _, v := range []any{s.file, err} {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			require.NotContains(t, fmt.Sprintf(verb, v), "hunter")
		}
	}
}

// TestSecretsOfAccountsAreNoGuesses: a program with a secret of package accounts that has ended locks nobody out.
func TestSecretsOfAccountsAreNoGuesses(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", bcrypt.MinCost), "", &htpasswd.Options{Failures: 3, AddressFailures: 3})
	for range 10 {
		require.ErrorIs(t, s.login("192.0.2.1:1", "ann", secretvalue.New("rkp_", "owner")), auth.ErrCredentials)
	}
	require.Zero(t, s.checks.Load())
	require.NoError(t, s.login("192.0.2.1:1", "ann", "secret"))
}
