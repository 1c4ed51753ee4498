package htpasswd_test

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/htpasswd"
)

// TestReload: a change of the file takes effect at the next check, also for remembered credentials.
// Users whose line did not change stay remembered.
func TestReload(t *testing.T) {
	ann, bob := line(t, "ann", "secret", 4), line(t, "bob", "other", 4)
	s := newSite(t, ann+bob, "", nil)
	s.accepted("ann", "secret")
	s.accepted("bob", "other")
	require.EqualValues(t, 2, s.checks.Load())

	s.write(line(t, "ann", "changed", 4) + bob + line(t, "eve", "new", 4))
	s.accepted("ann", "secret") // the file is checked once a second
	s.pass(htpasswd.Interval)
	s.refused("ann", "secret")
	s.accepted("ann", "changed")
	s.accepted("eve", "new")
	checks := s.checks.Load()
	s.accepted("bob", "other")
	require.Equal(t, checks, s.checks.Load(), "the line of bob is what it was")

	s.write(line(t, "bob", "other", 4)) // the same password, another hash
	s.pass(htpasswd.Interval)
	s.refused("ann", "changed")
	s.accepted("bob", "other")
	require.Equal(t, checks+2, s.checks.Load())

	s.write(ann) // the first line again
	s.pass(htpasswd.Interval)
	s.refused("bob", "other")
	s.accepted("ann", "secret")
	require.Empty(t, s.failed())
}

// TestReloadFileWrittenInPlace writes the file in place, with the same length and modification
// time, within one tick of the clock of the filesystem.
func TestReloadFileWrittenInPlace(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 4), "", nil)
	info, err := os.Stat(s.path)
	require.NoError(t, err)
	s.accepted("ann", "secret")
	require.NoError(t, os.WriteFile(s.path, []byte(line(t, "ann", "change", 4)), 0o600))
	require.NoError(t, os.Chtimes(s.path, info.ModTime(), info.ModTime()))
	s.pass(htpasswd.Interval)
	s.refused("ann", "secret")
	s.accepted("ann", "change")
}

// TestOnceASecond: the file is not checked for each request. It is read again after an edit in
// place, even if length and modification time are the same.
func TestOnceASecond(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 4), "", nil)
	past := s.now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(s.path, past, past))
	s.pass(htpasswd.Interval)
	s.accepted("ann", "secret")
	s.pass(time.Minute)
	s.accepted("ann", "secret")
	time.Sleep(50 * time.Millisecond) // the clock of a filesystem is coarse
	content, err := os.ReadFile(s.path)
	require.NoError(t, err)
	content[0] = 'b'
	require.NoError(t, os.WriteFile(s.path, content, 0o600))
	require.NoError(t, os.Chtimes(s.path, past, past))
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" { // only these have a change time
		require.NoError(t, os.Chtimes(s.path, past, past.Add(1)))
	}
	s.pass(htpasswd.Interval - 1)
	s.accepted("ann", "secret")
	s.pass(1)
	s.refused("ann", "secret")
	s.accepted("bnn", "secret")
	s.pass(-24 * time.Hour) // a clock that is set back does not stop the checks
	s.write(line(t, "eve", "secret", 4))
	require.NoError(t, s.login("192.0.2.9", "eve", "secret"))
}

// TestReloadBrokenFileKeepsUsers: while the file is malformed or missing, the previous users stay
// valid. The error is reported once.
func TestReloadBrokenFileKeepsUsers(t *testing.T) {
	ann := line(t, "ann", "secret", 4)
	s := newSite(t, ann, "pushers: ann\n", nil)
	still := func(want string) {
		t.Helper()
		for range 3 {
			s.pass(htpasswd.Interval)
			s.accepted("ann", "secret")
			s.refused("bob", "secret")
			s.pass(time.Hour) // forget the failures
		}
		told := s.failed()
		require.Len(t, told, 1)
		require.ErrorContains(t, told[0], want)
		require.NotContains(t, told[0].Error(), "$2a$04$")
	}
	s.write(ann + line(t, "bob", "secret", 4) + "eve:$apr1$x\n")
	still("users: line 3: not a bcrypt hash")
	s.write(line(t, "bob", "secret", 4) + "ann\n")
	still("users: line 2: not NAME:HASH")
	require.NoError(t, os.Remove(s.path))
	still("no such file")
	require.NoError(t, os.Mkdir(s.path, 0o700))
	still("not a regular file")
	require.NoError(t, os.Remove(s.path))
	s.write("")
	s.pass(htpasswd.Interval)
	s.refused("ann", "secret")
	require.Empty(t, s.failed())
	s.write(ann)
	s.pass(htpasswd.Interval)
	s.accepted("ann", "secret")
	require.Empty(t, s.failed())
	s.write("broken")
	still("users: line 1")
}

// TestReloadGroups: a change of groups takes effect without a new login.
func TestReloadGroups(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 4), "pushers: ann\n", nil)
	groups := func() []string {
		who, err := s.file.Authenticate(request("192.0.2.1", "ann", "secret"))
		require.NoError(t, err)
		return who.Groups
	}
	require.Equal(t, []string{"pushers"}, groups())
	groups()[0] = "admin"
	require.Equal(t, []string{"pushers"}, groups(), "what one caller does with it is nothing to the next")
	s.replace(s.path+".groups", "readers: bob ann\n")
	s.pass(htpasswd.Interval)
	require.Equal(t, []string{"readers"}, groups())
	s.replace(s.path+".groups", "readers\n")
	s.pass(htpasswd.Interval)
	require.Equal(t, []string{"readers"}, groups())
	require.Len(t, s.failed(), 1)
	s.replace(s.path+".groups", "")
	s.pass(htpasswd.Interval)
	require.Empty(t, groups())
	require.EqualValues(t, 1, s.checks.Load())
}

// TestUserChangedDuringLoginRefused: a user is removed, or gets another password, while the old
// password is checked. The login is refused.
func TestUserChangedDuringLoginRefused(t *testing.T) {
	for _, lines := range []string{"", line(t, "ann", "changed", 4), line(t, "ann", "secret", 4)} {
		s := newSite(t, line(t, "ann", "secret", 4), "", nil)
		s.before(func() {
			s.write(lines)
			s.pass(htpasswd.Interval)
		})
		s.refused("ann", "secret")
		require.EqualValues(t, 1, s.checks.Load())
	}
}

// TestReloadRace sends requests while the file changes all the time. Each gets the result of one
// version, and a password that was never right is never accepted.
func TestReloadRace(t *testing.T) {
	versions := []string{line(t, "ann", "one", 4), line(t, "ann", "two", 4) + line(t, "bob", "other", 4), "broken\n"}
	s := newSite(t, versions[0], "pushers: ann\n", &htpasswd.Options{Failures: 1 << 20, AddressFailures: 1 << 20})
	stop := make(chan struct{})
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.write(versions[i%len(versions)])
				s.replace(s.path+".groups", fmt.Sprintf("pushers: ann\ngroup%d: ann\n", i))
				s.pass(htpasswd.Interval)
			}
		}
	})
	for i := range 8 {
		readers.Go(func() {
			for range 30 {
				for _, password := range []string{"one", "two", "three"} {
					who, err := s.file.Authenticate(request(fmt.Sprintf("192.0.2.%d", i%3), "ann", password))
					if err != nil {
						require.ErrorIs(t, err, auth.ErrCredentials)
						continue
					}
					require.NotEqual(t, "three", password)
					require.Contains(t, who.Groups, "pushers")
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writer.Wait()
}
