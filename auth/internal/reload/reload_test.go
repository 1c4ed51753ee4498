package reload_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/internal/reload"
)

// TestFileEditedInPlaceNoticed edits a file in place and keeps its length and modification time.
// Only the change time reveals it.
func TestFileEditedInPlaceNoticed(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("this system has no change time")
	}
	path := filepath.Join(t.TempDir(), "file")
	past := time.Now().Add(-time.Hour)
	write := func(content string) {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		require.NoError(t, os.Chtimes(path, past, past))
	}
	write("one")
	clock, parsed := time.Now().Add(time.Hour), 0
	f := &reload.File[string]{
		Path: path, Max: 100, Now: func() time.Time { return clock },
		Parse: func(content []byte) (string, error) { parsed++; return string(content), nil },
		Fail:  func(_ context.Context, err error) { t.Error(err) },
	}
	require.NoError(t, f.Read())
	get := func() string {
		clock = clock.Add(reload.Interval)
		return f.Get(t.Context())
	}
	for range 5 {
		require.Equal(t, "one", get())
	}
	require.Equal(t, 1, parsed, "what has not changed is not read again")

	for _, content := range []string{"two", "six"} {
		time.Sleep(50 * time.Millisecond) // the clock of a filesystem is coarse
		write(content)
		require.Equal(t, content, get())
	}
	require.Equal(t, "six", get())
	require.Equal(t, 3, parsed)
}
