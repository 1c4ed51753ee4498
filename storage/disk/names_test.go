package disk

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

func TestKeyPath(t *testing.T) {
	long := strings.Repeat("a", maxPart-1)
	for key, want := range map[string]string{
		"a/b":                          "a/b",
		"Foo/v1.0_RC-1":                "^foo/v1.0_^r^c-1",
		long:                           long,
		long + "b":                     long + "b+/+",
		long + "b/c":                   long + "b+/+/c",
		long + "bcd/e":                 long + "b+/+cd/e",
		"x/" + strings.ToUpper(long):   "x/" + strings.Repeat("^a", 99) + "^+/+" + strings.Repeat("a^", 98) + "a",
		strings.Repeat("b", 2*maxPart): strings.Repeat("b", maxPart) + "+/+" + strings.Repeat("b", maxPart-1) + "+/+b",
	} {
		require.Equal(t, want, keyPath(key))
	}
}

// logical is the inverse of split, using only the properties of each component that List knows.
func logical(t *testing.T, p string) string {
	enc, remainders := "", false
	names := strings.Split(p, "/")
	for i, name := range names {
		require.LessOrEqual(t, len(name), maxPart+1)
		e, ok := entry(name, i < len(names)-1, remainders)
		require.True(t, ok, "%q in %q", name, p)
		require.Equal(t, name, fileName(e))
		require.Equal(t, i < len(names)-1, isDirectory(e))
		enc += piece(e, remainders)
		remainders = isCut(e)
	}
	return enc
}

// entries returns the directory entries of a path, in the form in which directories sort them.
func entries(p string) []string {
	var list []string
	for p != "" {
		e := base(p)
		if len(list) > 0 {
			e = dirEntry(p)
		}
		list = append(list, e)
		p = parent(p)
	}
	slices.Reverse(list)
	return list
}

// FuzzNames: a path decodes to its key, and no two keys share a path. Directories that are sorted
// by entries yield keys in byte order.
func FuzzNames(f *testing.F) {
	l := strings.Repeat("l", 198)
	for _, pair := range [][2]string{
		{"a/b", "a-b"}, {"a.b", "a/b"}, {"A", "a"}, {"aB", "ab"}, {"aZ", "a_"}, {"a9", "aA"}, {l, l + "/k"},
		{l + "l", l + "l/k"},
		{l + "l-", l + "l/k"}, {l + "lL", l + "l/K"}, {strings.Repeat("L", 100), strings.Repeat("L", 99)},
		{l + "l/x", l + "lx"},
		{strings.Repeat("x", 900), strings.Repeat("x", 899)}, {l + "-", l + "l"}, {l + "/a", l + "l-"}, {"...", "..a"},
		{"a[", "a_"}, {"a^b", "aZ"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if !driver.ValidKey(a) {
			return
		}
		// encode keeps the order even compared with a string that is no key.
		require.Equal(t, strings.Compare(a, b) > 0, strings.Compare(encode(a), encode(b)) > 0, "%q %q", a, b)
		pa := keyPath(a)
		require.Equal(t, path.Clean(pa), pa)
		back, ok := decode(logical(t, pa))
		require.True(t, ok)
		require.Equal(t, a, back)
		if !driver.ValidKey(b) || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
			return
		}
		pb := keyPath(b)
		require.Equal(t, a == b, pa == pb)
		require.False(t, strings.EqualFold(pa, pb) && a != b, "differ only in case")
		require.False(t, strings.HasPrefix(pa, pb+"/"), "one is a directory of the other")
		require.Equal(t, strings.Compare(a, b), slices.Compare(entries(pa), entries(pb)), "%q %q", pa, pb)
	})
}

func TestEntryRejectsOtherNames(t *testing.T) {
	for _, name := range []string{"A", "a b", "a+", "+a", ".DS_Store", "a%", "ä", strings.Repeat("a", maxPart),
		strings.Repeat("a", maxPart) + "+", "lost+found"} {
		_, ok := entry(name, false, false)
		require.False(t, ok, name)
	}
	_, ok := entry("a", false, true)
	require.False(t, ok, "no remainder")
	for _, enc := range []string{"A", "^", "^1", "a^", "^^", "", "a//b", "../a", "^\xff"} {
		_, ok := decode(enc)
		require.False(t, ok, enc)
	}
}
