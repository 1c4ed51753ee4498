package gocloud

import (
	"cmp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// fileKey is the inverse of fileName, as computed by walk.
func fileKey(name string) (key string, ok bool) {
	within := ""
	parts := strings.Split(name, "/")
	for i, part := range parts {
		p, kind := keyPart(part, i < len(parts)-1, within)
		if within = ""; kind == remainder {
			within = part
		}
		if kind == notOurs {
			return "", false
		}
		key += p
	}
	return key, true
}

// FuzzNames: names decode to their keys and keep their order. They avoid everything that
// gocloud.dev would change.
func FuzzNames(f *testing.F) {
	for _, s := range []string{
		"a/b|a-b", "a..b|a../b", "a.-|a..", "a_b|a__b", "a__0x2f__b|a/b", "x.attrs|x.tmp", "A|a", "aB/c|ab", "...|..a/..b",
		"a~|a.~b",
	} {
		a, b, _ := strings.Cut(s, "|")
		f.Add(a, b)
	}
	for _, n := range []int{197, 198, 199, 200, 397, 398} {
		l := strings.Repeat("l", n)
		f.Add(l, l+"/k")
		f.Add(l+"A", l+"-")
		f.Add(l+"A/x", l+"0")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if !driver.ValidKey(a) || !driver.ValidKey(b) {
			return
		}
		for _, key := range []string{a, b} {
			name := objectName(key)
			require.NotContains(t, name, "..")
			require.NotContains(t, name, "__")
			back, ok := objectKey(name)
			require.True(t, ok)
			require.Equal(t, key, back)

			name = fileName(key)
			require.NotContains(t, name, ".")
			require.Equal(t, strings.ToLower(name), name)
			for _, part := range strings.Split(name, "/") {
				require.LessOrEqual(t, len(part), maxPart+len(cutMark))
			}
			back, ok = fileKey(name)
			require.True(t, ok)
			require.Equal(t, key, back)
		}
		require.Equal(t, cmp.Compare(a, b), cmp.Compare(objectName(a), objectName(b)), "order of objects")
		// A key that is a directory of another key keeps the order of keys, but its name does not.
		require.Equal(t, cmp.Compare(a, b), compareWalk(fileName(a), fileName(b)), "order of files")
	})
}

// compareWalk compares two paths in the order of a walk of sorted directories.
func compareWalk(a, b string) int {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(as), len(bs)) {
		if c := cmp.Compare(as[i], bs[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}

// FuzzForeignNames: a name that the driver did not write is no key, or it is the name of the key
// that it decodes to.
func FuzzForeignNames(f *testing.F) {
	for _, name := range []string{"", "a", "a-/b", "a/b", "a.attrs", "a.17.tmp", "=probe=x", "^", "^1", "^a", "a--/+b",
		"+", "+-/x", "..", "a_^", "a.-", "a._^", "A",
		strings.Repeat("l", 300), strings.Repeat("l", 199) + "--/+", strings.Repeat("l", 199) + "--/x",
		strings.Repeat("l", 198) + "^--/+a"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if key, ok := objectKey(name); ok {
			require.Equal(t, name, objectName(key))
		}
		for _, part := range strings.Split(name, "/") {
			if part == "" {
				return
			}
		}
		if key, ok := fileKey(name); ok && driver.ValidKey(key) {
			require.Equal(t, name, fileName(key))
		}
	})
}

func TestPartsSizesAndBounds(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		parts      Parts
		size, most int64
	}{
		{Parts{}, 8 * mib, 80_000 * mib},
		{Parts{Max: 1000}, 8 * mib, 8000 * mib},
		{Parts{Size: 5 * mib}, 5 * mib, 50_000 * mib},
		{Parts{Size: 5 * mib, Max: 3}, 5 * mib, 15 * mib},
		{Parts{Size: 4000 * mib}, 4000 * mib, 4 << 40},
	} {
		require.NoError(t, c.parts.check())
		require.Equal(t, c.size, c.parts.PartSize(), "%+v", c.parts)
		require.Equal(t, c.most, c.parts.ObjectSize(), "%+v", c.parts)
	}
	for _, bad := range []Parts{{Size: 1}, {Size: 5*mib - 1}, {Size: 4000*mib + 1}, {Size: -1}, {Max: -1}, {Max: 10_001}} {
		require.Error(t, bad.check(), "%+v", bad)
	}
}

func TestValidPart(t *testing.T) {
	for s, want := range map[string]string{"": "", "a/b": "a/b", "a//b": "a//b", "a\x00b": "a", "ä": "", "a/b!c": "a/b",
		"~": "~", "../x": "", "a/./b": "a/", "a/..": "a/", "a/.": "a/", "a/.b": "a/.b"} {
		require.Equal(t, want, validPart(s), "%q", s)
	}
}
