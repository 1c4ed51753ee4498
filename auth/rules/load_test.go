package rules_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
)

// text returns a file with one rule, which lets a user pull.
func text(user string) string {
	return fmt.Sprintf("rules:\n  - name: only %s\n    who: {user: %s}\n    repositories: \"**\"\n    actions: pull\n",
		user, user)
}

// replace replaces the file at path by another one.
func replace(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	_, err := rules.Load(path, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	replace(t, path, "rules:\n- x\n")
	_, err = rules.Load(path, nil)
	require.ErrorContains(t, err, "rules: "+path+":2: ")

	var told []string
	replace(t, path, text("ann"))
	r, err := rules.Load(path, &rules.Options{Error: func(_ context.Context,
		err error) {
		told = append(told, err.Error())
	}})
	require.NoError(t, err)
	clock := time.Now()
	r.SetNow(func() time.Time { return clock })
	who := func() string {
		for _, name := range []string{"ann", "bob", "eve"} {
			rule, err := r.Explain(t.Context(), auth.Identity{Name: name},
				[]auth.Access{{Type: auth.TypeRepository, Name: "a", Action: auth.Pull}})
			if err == nil {
				require.Equal(t, "rules.yaml:2: only "+name, rule)
				return name
			}
		}
		return ""
	}
	require.Equal(t, "ann", who())

	replace(t, path, text("bob"))
	require.Equal(t, "ann", who(), "the file is checked once a second")
	clock = clock.Add(time.Second)
	require.Equal(t, "bob", who())

	// A broken file changes nothing and is reported once.
	for i, broken := range []string{"rules:\n- x\n", "", "rules: [", strings.Repeat("#", rules.MaxSize) + "\n"} {
		replace(t, path, broken)
		for range 3 {
			clock = clock.Add(time.Second)
			require.Equal(t, "bob", who())
		}
		require.Len(t, told, i+1)
		require.Contains(t, told[i], path+":")
	}
	told = nil
	require.NoError(t, os.Remove(path))
	for range 3 {
		clock = clock.Add(time.Second)
		require.Equal(t, "bob", who())
	}
	require.Len(t, told, 1)
	require.Contains(t, told[0], path)
	replace(t, path, text("eve"))
	clock = clock.Add(time.Second)
	require.Equal(t, "eve", who())

	// The same mistake after a valid file is reported again.
	told = nil
	for range 2 {
		replace(t, path, "rules:\n- x\n")
		clock = clock.Add(time.Second)
		require.Equal(t, "eve", who())
		replace(t, path, text("eve"))
		clock = clock.Add(time.Second)
		require.Equal(t, "eve", who())
	}
	require.Len(t, told, 2)

	// A change in place that keeps size and modification time is noticed by the change time, or
	// while the file is young.
	info, err := os.Stat(path)
	require.NoError(t, err)
	time.Sleep(50 * time.Millisecond) // the clocks of filesystems are coarse
	require.NoError(t, os.WriteFile(path, []byte(text("ann")), 0o600))
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	clock = info.ModTime().Add(90 * time.Minute)
	if runtime.GOOS == "linux" || runtime.GOOS == "darwin" {
		require.Equal(t, "ann", who())
	} else {
		require.Equal(t, "eve", who(), "it was read long after its time, or so the clock says")
	}
	require.NoError(t, os.Chtimes(path, clock, clock))
	clock = clock.Add(time.Second)
	require.Equal(t, "ann", who())
	require.NoError(t, os.WriteFile(path, []byte(text("bob")), 0o600))
	require.NoError(t, os.Chtimes(path, clock.Add(-time.Second), clock.Add(-time.Second)))
	clock = clock.Add(time.Second)
	require.Equal(t, "bob", who(), "as old and as long as before, but it was read when that was new")
	clock = clock.Add(-time.Hour) // it was set back
	replace(t, path, text("eve"))
	require.Equal(t, "eve", who())
}

// TestLoadConcurrent: while the file changes, each decision is by the old or by the new rules.
func TestLoadConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	replace(t, path, text("ann"))
	r, err := rules.Load(path, nil)
	require.NoError(t, err)
	var mu sync.Mutex
	clock := time.Now()
	r.SetNow(func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		clock = clock.Add(300 * time.Millisecond)
		return clock
	})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			pull := []auth.Access{{Type: auth.TypeRepository, Name: "a", Action: auth.Pull}}
			for ctx.Err() == nil {
				ann, bob := r.Authorize(ctx, auth.Identity{Name: "ann"}, pull), r.Authorize(ctx, auth.Identity{Name: "eve"}, pull)
				if bob == nil || ann != nil && ann != auth.ErrDenied {
					t.Error("neither rules")
					return
				}
				r.Prefixes(ctx, auth.Identity{Name: "bob"})
			}
		})
	}
	for i := range 100 {
		replace(t, path, text([]string{"ann", "bob"}[i%2]))
		time.Sleep(time.Millisecond)
	}
	cancel()
	group.Wait()
	clock = clock.Add(time.Second)
	require.NoError(t, r.Authorize(t.Context(), auth.Identity{Name: "bob"},
		[]auth.Access{{Type: auth.TypeRepository, Name: "a", Action: auth.Pull}}))
}
