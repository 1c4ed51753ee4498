package replicate_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/replicate"
)

func TestFileResume(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	r := replicate.FileResume(dir)
	d, e := digest.FromString("d"), digest.SHA512.FromString("e")
	id, err := r.Load("team/app", d)
	require.NoError(t, err)
	require.Empty(t, id)
	require.NoError(t, r.Save("team/app", d, ""), "removing what does not exist")

	for repo, id := range map[string]string{
		"team/app": "one", "../../../etc/passwd": "two", strings.Repeat("a", 300): "three",
	} {
		require.NoError(t, r.Save(repo, d, id))
		require.NoError(t, r.Save(repo, e, id+id))
		got, err := replicate.FileResume(dir).Load(repo, d)
		require.NoError(t, err)
		require.Equal(t, id, got)
		got, err = r.Load(repo, e)
		require.NoError(t, err)
		require.Equal(t, id+id, got)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 6)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
		// What cannot be understood counts as missing.
		require.NoError(t, os.WriteFile(filepath.Join(dir, entry.Name()), []byte("{"), 0o600))
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.EqualValues(t, 0o700, info.Mode().Perm())
	id, err = r.Load("team/app", d)
	require.NoError(t, err)
	require.Empty(t, id)
	require.NoError(t, r.Save("team/app", d, ""))

	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 20 {
				_ = r.Save("team/app", d, strings.Repeat("x", 1000*i+1))
				got, err := r.Load("team/app", d)
				if err != nil || strings.Trim(got, "x") != "" {
					t.Errorf("%v %q", err, got)
				}
			}
		})
	}
	all.Wait()
}

func TestFileResumeFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	r := replicate.FileResume(file)
	_, err := r.Load("a", digest.FromString("d"))
	require.Error(t, err)
	require.Error(t, r.Save("a", digest.FromString("d"), "id"))
}
