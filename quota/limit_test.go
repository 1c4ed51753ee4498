package quota_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/quota"
)

func TestParse(t *testing.T) {
	l, err := quota.Parse("quota.yaml", []byte(`
limits:
- prefix: team/archive
  unlimited: true
- prefix: team
  max: {bytes: 100GiB, tags: 10000}
  soft: {bytes: 80GiB}
- prefix: "users/*"
  max: {bytes: 5GB, repositories: 20, manifests: 1000}
- prefix: ""
  soft: {bytes: 1TiB}
`))
	require.NoError(t, err)
	require.Equal(t, []quota.Limit{
		{Prefix: "team/archive", Unlimited: true},
		{Prefix: "team", Max: quota.Amounts{Bytes: 100 << 30, Tags: 10000}, Soft: quota.Amounts{Bytes: 80 << 30}},
		{Prefix: "users/*", Max: quota.Amounts{Bytes: 5e9, Repositories: 20, Manifests: 1000}},
		{Prefix: "", Soft: quota.Amounts{Bytes: 1 << 40}},
	}, l.List())
	for repo, want := range map[string]string{
		"team": "team", "team/app/web": "team", "teams": "", "team/archived": "team", "users/ann/app": "users/ann",
		"users/ann": "users/ann", "users": "", "x": "",
	} {
		prefix, ok := l.Prefix(repo)
		require.True(t, ok)
		require.Equal(t, want, prefix, repo)
	}
	_, ok := l.Prefix("team/archive/2020")
	require.False(t, ok)
}

// TestMistakes: each mistake is refused with its line.
func TestMistakes(t *testing.T) {
	entry := func(s string) string { return "limits:\n- prefix: a\n  max: {bytes: 1}\n- " + s }
	for text, want := range map[string]string{
		"":                                       "f:1: no limits",
		"limits: []":                             "f:1: limits must be a list",
		"limits: {a: b}":                         "f:1: limits must be a list",
		"limit: []":                              `f:1: "limit" is not one of`,
		"{}":                                     "f:1: limits must be a list",
		entry("max: {bytes: 1}"):                 "f:4: no prefix",
		entry("prefix: b"):                       "f:4: neither a limit nor unlimited",
		entry("prefix: b\n  max: {}"):            "f:4: neither a limit nor unlimited",
		entry("prefix:\n  max: {tags: 1}"):       "f:4: this is empty",
		entry("prefix: b\n  max: {byte: 1}"):     "f:5: \"byte\" is not one of",
		entry("prefix: b\n  hard: {bytes: 1}"):   "f:5: \"hard\" is not one of",
		entry("prefix: b\n  max: {bytes: -1}"):   `f:5: bytes: "-1" is not a number of bytes`,
		entry("prefix: b\n  max: {bytes: 0}"):    "f:5: bytes is zero",
		entry("prefix: b\n  max: {bytes: ten}"):  "f:5: bytes:",
		entry("prefix: b\n  max: {bytes: 9EiB}"): "f:5: bytes:",
		entry("prefix: b\n  max: 10GiB"):         "f:5: this must have fields",
		entry("prefix: b\n  max: {tags: 1}\n  unlimited: true"):                        "f:4: unlimited contradicts a limit",
		entry("prefix: b\n  unlimited: yes"):                                           "f:5: \"yes\" is neither",
		entry("prefix: B\n  max: {bytes: 1}"):                                          "f:4: prefix \"B\"",
		entry("prefix: b/\n  max: {bytes: 1}"):                                         "f:4: prefix \"b/\"",
		entry("prefix: /\n  max: {bytes: 1}"):                                          "f:4: prefix \"/\"",
		entry("prefix: \"b/**\"\n  max: {bytes: 1}"):                                   "** is not permitted",
		entry("prefix: \"b/[\"\n  max: {bytes: 1}"):                                    "f:4: prefix \"b/[\": malformed",
		entry("prefix: \"b//*\"\n  max: {bytes: 1}"):                                   "f:4: prefix \"b//*\": empty",
		entry("prefix: \"{b,c/d}\"\n  max: {bytes: 1}"):                                "f:4: prefix \"{b,c/d}\": malformed",
		entry("prefix: \"B*\"\n  max: {bytes: 1}"):                                     "f:4: prefix \"B*\": upper-case",
		entry("prefix: *\n  max: {bytes: 1}"):                                          "f:4:",
		entry("prefix: a\n  max: {bytes: 1}"):                                          "f:4: prefix \"a\" has no effect",
		entry("prefix: a/b\n  max: {bytes: 1}"):                                        `the entry of "a" comes first`,
		entry("prefix: b\n  max: {bytes: 1}\n  max: {tags: 1}"):                        "f:6: \"max\" occurs twice",
		"limits:\n- prefix: \"\"\n  max: {tags: 1}\n- prefix: \"*\"\n  max: {tags: 1}": "f:4: prefix \"*\" has no effect",
		entry("prefix: " + strings.Repeat("b/", 300) + "*\n  max: {bytes: 1}"):         "longer than 512 bytes",
	} {
		_, err := quota.Parse("f", []byte(text))
		require.ErrorContains(t, err, want, "%s", text)
	}
	_, err := quota.Load(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	path := filepath.Join(t.TempDir(), "quota.yaml")
	require.NoError(t, os.WriteFile(path, []byte("limits:\n- x: y"), 0o600))
	_, err = quota.Load(path)
	require.ErrorContains(t, err, path+":2:")
	_, err = quota.NewLimits([]quota.Limit{
		{Prefix: "a", Max: quota.Amounts{Bytes: 1}}, {Prefix: "b", Soft: quota.Amounts{Tags: -1}},
	})
	require.EqualError(t, err, "quota: limit 2: tags is negative")
}

func FuzzParse(f *testing.F) {
	f.Add("limits:\n- prefix: \"users/*\"\n  max: {bytes: 1GiB}\n", "users/ann/app")
	f.Add("limits:\n- prefix: \"{a,b}/?[c-d]\"\n  soft: {tags: 1}\n- prefix: \"\"\n  unlimited: true", "a/bc")
	f.Fuzz(func(t *testing.T, text, repo string) {
		l, err := quota.Parse("f", []byte(text))
		if err != nil || len(repo) > 255 {
			return
		}
		prefix, ok := l.Prefix(repo)
		require.True(t, !ok || prefix == "" || repo == prefix || strings.HasPrefix(repo, prefix+"/"))
		again, err := quota.NewLimits(l.List())
		require.NoError(t, err)
		same, _ := again.Prefix(repo)
		require.Equal(t, prefix, same)
	})
}
