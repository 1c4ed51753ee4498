package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/mirror"
)

func names[T any](keys []key[T]) (all []string) {
	for _, k := range keys {
		all = append(all, k.name)
	}
	return all
}

// TestKeysAreDocumented: docs/mirror.md has a table with a row for each key, in the same order, and no
// others.
func TestKeysAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/mirror.md")
	require.NoError(t, err)
	require.Equal(t, names(fileKeys), table(string(page), "### Keys of the file"))
	require.Equal(t, names(upstreamKeys), table(string(page), "### Keys of an upstream"))
	require.Equal(t, names(tagTTLKeys), table(string(page), "### Keys of an element of tagTTLs"))
}

// row is a row of a table whose first column is a key.
var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// table returns the first column of the table after a heading.
func table(page, heading string) (keys []string) {
	_, after, _ := strings.Cut(page, "\n"+heading+"\n")
	section, _, _ := strings.Cut(after, "\n#")
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		keys = append(keys, m[1])
	}
	return keys
}

// TestEveryOptionHasAKey: a new option of the mirror gets a key, or a reason why not.
func TestEveryOptionHasAKey(t *testing.T) {
	other := map[string]string{
		"Credentials": "usernameFile, passwordFile and dockerConfig",
		"Transport":   "proxy, ca, clientCert and clientKey",
		"MayFetch":    "anonymousFetch",
		"Admit":       "a function of the program",
		"Logger":      "a value of the program",
	}
	for _, c := range []struct {
		of   reflect.Type
		keys []string
	}{
		{reflect.TypeFor[mirror.Upstream](), names(upstreamKeys)},
		{reflect.TypeFor[mirror.Options](), names(fileKeys)},
	} {
		for i := range c.of.NumField() {
			name := c.of.Field(i).Name
			found := slices.ContainsFunc(c.keys, func(k string) bool { return strings.EqualFold(k, name) })
			require.True(t, found || other[name] != "", "no key for %s.%s", c.of.Name(), name)
		}
	}
}
