package drivertest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// fill puts an object at each key.
func fill(t *testing.T, d driver.Driver, keys []string) {
	t.Helper()
	for _, key := range keys {
		put(t, d, key, key[:min(len(key), 10)], &driver.PutOptions{Durability: driver.Relaxed})
	}
}

// shallow removes keys with very many directories, for tests that list often.
func shallow(keys []string) []string {
	return slices.DeleteFunc(keys, func(key string) bool { return strings.Count(key, "/") > 20 })
}

// expect returns the keys that a List must yield.
func expect(keys []string, prefix, after string) []string {
	want := []string{}
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) && key > after {
			want = append(want, key)
		}
	}
	return want
}

func (s *suite) listOrder(t *testing.T) {
	d := s.new(t)
	require.Empty(t, list(t, d, "", nil))
	require.Empty(t, list(t, d, "nothing/here/", nil))
	keys := awkward()
	shuffled := slices.Clone(keys)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) {
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	})
	fill(t, d, shuffled)
	requireKeys(t, keys, list(t, d, "", nil))
}

// pages lists in pages of n keys and returns all keys.
func pages(t *testing.T, d driver.Driver, prefix string, n int, opts driver.ListOptions) []string {
	t.Helper()
	all := []string{}
	for {
		page, err := listKeys(t.Context(), d, prefix, &opts, n)
		require.NoError(t, err)
		if len(page) > 0 && opts.After != "" {
			require.Greater(t, page[0], opts.After, "After is exclusive")
		}
		all = append(all, page...)
		if len(page) < n {
			return all
		}
		opts.After = page[n-1]
	}
}

func (s *suite) listPaging(t *testing.T) {
	d := s.new(t)
	keys := awkward()
	fill(t, d, keys)
	for _, n := range []int{1, 2, 3, 7, 100, len(keys), len(keys) + 1} {
		prefix := ""
		if testing.Short() && n < 7 {
			prefix = "x/"
		}
		want := expect(keys, prefix, "")
		requireKeys(t, want, pages(t, d, prefix, n, driver.ListOptions{PageHint: n}), "pages of %d", n)
		requireKeys(t, want, pages(t, d, prefix, n, driver.ListOptions{KeysOnly: true}), "pages of %d", n)
	}
	requireKeys(t, expect(keys, "x/", ""), pages(t, d, "x/", 2, driver.ListOptions{}))
	requireKeys(t, keys, pages(t, d, "", 7, driver.ListOptions{PageHint: 1 << 30}), "the hint may be wrong")
}

// listAfter: After may be any string, also one that is no key.
func (s *suite) listAfter(t *testing.T) {
	d := s.new(t)
	keys := shallow(awkward())
	fill(t, d, keys)
	afters := []string{
		"\x00", "!", "/", "//", "a/", "a//", "a/b/", "a/b\x00", "a!", "a^", "a[", "a`", "a/^", "a/b^", "^", "[", "]", "@",
		":", "`", "{", "\x7f", "\xff", "ä", "+",
		"Z", "Zz", "a+", "a,", "x/U^", "x/U", "x/u", "x/upper", "x/upper/", "x/upper/y!", "x/upper0", "x/UPPER/z", ".",
		"..", "../x", "d", "e/",
	}
	for _, n := range []int{1, 198, 199, 200, 201, 398, 399, 500} {
		l := strings.Repeat("l", n)
		afters = append(afters, l+"+", l+"^", l+"/", "d/"+l+"!", "e/"+l, "e/"+l+"/", "e/"+l+"/j", "e/"+l+"-", "f/"+l+"/k/",
			"g/"+l+"-", strings.ToUpper(l)+"^", l[1:]+"M")
	}
	for _, key := range keys {
		afters = append(afters, key, key+"\x00", key+"/", key+"-", key[:len(key)/2], key[:len(key)-1])
	}
	// A step that has no factor in common with the 12 positions for each length, the 6 for each key and
	// the 5 prefixes takes some of each kind.
	const shortStep = 7
	for i, after := range afters {
		if testing.Short() && i%shortStep != 0 {
			continue
		}
		got := list(t, d, "", &driver.ListOptions{After: after, KeysOnly: true})
		requireKeys(t, expect(keys, "", after), got, "after %q", after)
		prefix := []string{"a/", "x/", "x/upper/", "d/", "e/"}[i%5]
		got = list(t, d, prefix, &driver.ListOptions{After: after, KeysOnly: true})
		requireKeys(t, expect(keys, prefix, after), got, "prefix %q after %q", prefix, after)
	}
}

func (s *suite) listPrefix(t *testing.T) {
	d := s.new(t)
	keys := shallow(awkward())
	fill(t, d, keys)
	prefixes := map[string]bool{"": true, "nothing/": true, "a/b/": true, "A/": true, "X/Upper/": true,
		"x/upper/y/z/": true}
	for _, key := range keys {
		for i := range key {
			if key[i] == '/' && len(prefixes) < 300 {
				prefixes[key[:i+1]] = true
			}
		}
	}
	for prefix := range prefixes {
		requireKeys(t, expect(keys, prefix, ""), list(t, d, prefix, nil), "prefix %q", prefix)
		for _, after := range []string{prefix, strings.TrimSuffix(prefix, "/"), prefix + "\xff", "\x00", "\xff", "k",
			"x/upper"} {
			got := list(t, d, prefix, &driver.ListOptions{After: after})
			requireKeys(t, expect(keys, prefix, after), got, "prefix %q after %q", prefix, after)
		}
	}
}

// listMany: List yields more keys than any storage returns in a page, from one directory and from
// many. It does so although keys change between two pages.
func (s *suite) listMany(t *testing.T) {
	d := s.new(t)
	var keys []string
	for i := range 2500 {
		keys = append(keys, fmt.Sprintf("many/k%07d", i*7919%1_000_003))
	}
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("tree/%d/%d/leaf", i%4, i), fmt.Sprintf("tree/%d/%d-", i%4, i))
	}
	fill(t, d, keys)
	slices.Sort(keys)
	requireKeys(t, keys, list(t, d, "", nil))
	requireKeys(t, keys, pages(t, d, "", 100, driver.ListOptions{PageHint: 100}))

	after := ""
	for i := range 40 {
		page, err := listKeys(t.Context(), d, "many/", &driver.ListOptions{After: after, PageHint: 20}, 20)
		require.NoError(t, err)
		requireKeys(t, expect(keys, "many/", after)[:20], page)
		after = page[len(page)-1]
		added := fmt.Sprintf("many/k%07d-added", i*20_001)
		removed := keys[i*30]
		put(t, d, added, "", nil)
		require.NoError(t, d.Delete(t.Context(), removed, ""))
		keys = slices.DeleteFunc(keys, func(key string) bool { return key == removed })
		at, _ := slices.BinarySearch(keys, added)
		keys = slices.Insert(keys, at, added)
	}
	requireKeys(t, keys, list(t, d, "", nil))
}

// listWhileChanging: a List yields each stable key exactly once, while other keys are created and
// deleted and some stable keys are replaced.
func (s *suite) listWhileChanging(t *testing.T) {
	d := s.new(t)
	ctx := t.Context()
	var stable []string
	for i := range 600 {
		stable = append(stable, fmt.Sprintf("flat/%04d-stable", i))
	}
	for i := range 60 {
		stable = append(stable, fmt.Sprintf("tree/%02d/x/stable", i))
	}
	fill(t, d, stable)
	slices.Sort(stable)
	var stop atomic.Bool
	begin := time.Now()
	errs := race(6, func(i int) error {
		if i < 2 { // lists
			defer stop.Store(true)
			// Where a List takes long, much changes during each of them, so fewer Lists are enough.
			for n := 0; n < 15 && (n < 3 || time.Since(begin) < 2*time.Second); n++ {
				got, err := listKeys(ctx, d, "", &driver.ListOptions{KeysOnly: i == 0, PageHint: 10}, -1)
				if err != nil {
					return err
				}
				got = slices.DeleteFunc(got, func(key string) bool { return !strings.HasSuffix(key, "stable") })
				if !slices.Equal(stable, got) {
					return fmt.Errorf("%d stable keys of %d", len(got), len(stable))
				}
			}
			return nil
		}
		rnd := rand.New(rand.NewPCG(uint64(i), 0))
		for !stop.Load() {
			n := rnd.IntN(600)
			key := fmt.Sprintf("flat/%04d-moving-%d", n, i)
			switch rnd.IntN(3) {
			case 0:
				key = fmt.Sprintf("tree/%02d/x%d/moving", n%60, i)
			case 1: // replaces a stable key, which must stay visible
				if _, err := d.Put(ctx, stable[n], strings.NewReader("new"),
					&driver.PutOptions{Durability: driver.Relaxed}); err != nil {
					return err
				}
			}
			if _, err := d.Put(ctx, key, nil, &driver.PutOptions{Durability: driver.Relaxed}); err != nil {
				return err
			}
			if err := d.Delete(ctx, key, ""); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
}

// listConsumer: the loop body of a List may call any operation.
func (s *suite) listConsumer(t *testing.T) {
	d := s.new(t)
	var keys []string
	for i := range 700 {
		keys = append(keys, fmt.Sprintf("d%d/key%04d", i%3, i))
	}
	fill(t, d, keys)
	slices.Sort(keys)
	var got []string
	within(t, "a consumer that calls the driver", func() error {
		for info, err := range d.List(t.Context(), "", nil) {
			if err != nil {
				return err
			}
			got = append(got, info.Key)
			if len(got)%10 != 0 {
				continue
			}
			if _, err := d.Put(t.Context(), info.Key, strings.NewReader("again"),
				&driver.PutOptions{Durability: driver.Relaxed}); err != nil {
				return err
			}
			if _, err := listKeys(t.Context(), d, "d1/", nil, 3); err != nil {
				return err
			}
			if err := d.Delete(t.Context(), info.Key, ""); err != nil {
				return err
			}
		}
		return nil
	})
	requireKeys(t, keys, got)
	require.Len(t, list(t, d, "", nil), len(keys)-len(keys)/10)
}

// listSees: a List shows every change that was finished before it began.
func (s *suite) listSees(t *testing.T) {
	d := s.new(t)
	var base []string
	for i := range 400 {
		base = append(base, fmt.Sprintf("dir/%03d", i))
	}
	fill(t, d, base)
	errs := race(8, func(i int) error {
		for j := range 30 {
			key := fmt.Sprintf("dir/%03d-%d-%d", j, i, j)
			opts := &driver.ListOptions{After: key[:len("dir/000")], KeysOnly: j%2 == 0}
			for _, want := range []bool{true, false} {
				var err error
				if want {
					_, err = d.Put(t.Context(), key, nil, &driver.PutOptions{Durability: driver.Relaxed})
				} else {
					err = d.Delete(t.Context(), key, "")
				}
				if err != nil {
					return err
				}
				got, err := listKeys(t.Context(), d, "dir/", opts, 60)
				if err != nil {
					return err
				}
				if slices.Contains(got, key) != want {
					return fmt.Errorf("%s listed: %v, there: %v", key, !want, want)
				}
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
}
