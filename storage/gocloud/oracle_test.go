package gocloud_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// pieces are the parts of which the fuzzer builds keys.
var pieces = []string{
	"a", "A", "b", "-", ".", "..", "_", "__", "~", "/", "/", "0", "0x2f", "0x41__", ".attrs", ".tmp", "+", "^", "=",
	"\xff",
	strings.Repeat("l", 198), strings.Repeat("M", 99), "z/", "x-",
}

// source takes decisions from the input of the fuzzer.
type source struct{ data []byte }

func (s *source) next(n int) int {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return int(b) % n
}

func (s *source) string() string {
	var b strings.Builder
	for range 1 + s.next(5) {
		b.WriteString(pieces[s.next(len(pieces))])
	}
	return b.String()
}

// FuzzLikeMemory performs the same operations on the memory driver and on each kind of bucket, and
// requires the same results.
func FuzzLikeMemory(f *testing.F) {
	f.Add([]byte("a short program"))
	for i := range 40 {
		seed := make([]byte, 400)
		for j := range seed {
			seed[j] = byte(i*j*j + 31*j + i>>1)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 2000 {
			return
		}
		for _, b := range buckets {
			if b.name == "mem-prefix" {
				continue
			}
			want := memory.New(nil)
			program(t, &source{data}, b.name, want, b.driver(t))
		}
	})
}

func program(t *testing.T, s *source, name string, want, got driver.Driver) {
	ctx := t.Context()
	used := []string{"a"}
	stale := [2]string{"stale", "stale"}
	key := func() string {
		if s.next(3) == 0 {
			return used[s.next(len(used))]
		}
		used = append(used, s.string())
		return used[len(used)-1]
	}
	for step := 0; len(s.data) > 0; step++ {
		what := fmt.Sprintf("%s: step %d", name, step)
		k := key()
		var versions [2]string // the version of the current object in each driver
		if s.next(2) == 0 {
			for i, d := range []driver.Driver{want, got} {
				info, _ := d.Stat(ctx, k)
				versions[i] = info.Version
			}
			if s.next(3) == 0 {
				versions, stale = stale, versions
			}
		}
		switch s.next(5) {
		case 0, 1:
			content := strings.Repeat("x", s.next(20))
			ifAbsent := versions[0] == "" && s.next(2) == 0
			w, werr := want.Put(ctx, k, strings.NewReader(content), &driver.PutOptions{IfAbsent: ifAbsent,
				IfVersion: versions[0]})
			g, gerr := got.Put(ctx, k, strings.NewReader(content), &driver.PutOptions{IfAbsent: ifAbsent,
				IfVersion: versions[1]})
			same(t, what+": put "+k, w, g, werr, gerr)
		case 2:
			same(t, what+": delete "+k, driver.Info{}, driver.Info{}, want.Delete(ctx, k, versions[0]),
				got.Delete(ctx, k, versions[1]))
		case 3:
			opts := driver.OpenOptions{Offset: int64(s.next(25)), Length: int64(s.next(25))}
			wantContent, w, werr := fetch(ctx, want, k, opts)
			gotContent, g, gerr := fetch(ctx, got, k, opts)
			same(t, what+": open "+k, w, g, werr, gerr)
			require.Equal(t, wantContent, gotContent, what)
		case 4:
			prefix := ""
			if i := strings.LastIndexByte(k, '/'); i >= 0 && s.next(2) == 0 {
				prefix = k[:i+1]
			}
			opts := &driver.ListOptions{After: used[s.next(len(used))], PageHint: s.next(4)}
			wantInfos, werr := infos(ctx, want, prefix, opts)
			gotInfos, gerr := infos(ctx, got, prefix, opts)
			same(t, what+": list "+prefix, driver.Info{}, driver.Info{}, werr, gerr)
			require.Equal(t, wantInfos, gotInfos, "%s: list %q after %q", what, prefix, opts.After)
		}
	}
}

// same requires two results to be equal except for versions and times.
func same(t *testing.T, what string, want, got driver.Info, werr, gerr error) {
	t.Helper()
	if (errors.Is(werr, driver.ErrChanged) || errors.Is(werr, driver.ErrNotExist)) &&
		(errors.Is(gerr, driver.ErrChanged) || errors.Is(gerr, driver.ErrNotExist)) && strings.Contains(what, "delete") {
		return // either error is correct for a missing object
	}
	for _, err := range []error{driver.ErrNotExist, driver.ErrExist, driver.ErrChanged, driver.ErrKey} {
		require.Equal(t, errors.Is(werr, err), errors.Is(gerr, err), "%s: %v instead of %v", what, gerr, werr)
	}
	require.Equal(t, werr == nil, gerr == nil, "%s: %v instead of %v", what, gerr, werr)
	require.Equal(t, want.Key, got.Key, what)
	require.Equal(t, want.Size, got.Size, what)
	require.Equal(t, want.Version == "", got.Version == "", what)
}

func fetch(ctx context.Context, d driver.Driver, key string, opts driver.OpenOptions) (string, driver.Info, error) {
	r, info, err := d.Open(ctx, key, &opts)
	if err != nil {
		return "", info, err
	}
	var from io.Reader = r
	if opts.Length > 0 {
		from = io.LimitReader(r, opts.Length)
	}
	content, err := io.ReadAll(from)
	return string(content), info, errors.Join(err, r.Close())
}

func infos(ctx context.Context, d driver.Driver, prefix string, opts *driver.ListOptions) (list []string, err error) {
	for info, err := range d.List(ctx, prefix, opts) {
		if err != nil {
			return list, err
		}
		list = append(list, fmt.Sprint(info.Key, " ", info.Size))
	}
	return list, nil
}
