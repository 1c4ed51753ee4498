package drivertest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// modelKeys returns a few keys in several directories, some of them long.
func modelKeys() (keys []string) {
	for i := range 12 {
		keys = append(keys, fmt.Sprintf("%c/%d/key", 'a'+i%3, i), fmt.Sprintf("%c/%d-", 'a'+i%3, i),
			strings.Repeat("L", 90+i))
	}
	return keys
}

// model performs random operations on a few keys and compares each result with the result of a map.
func (s *suite) model(t *testing.T) {
	d := s.new(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	type state struct{ content, version string }
	there := map[string]state{}
	keys := modelKeys()
	stale := "stale"
	for step := range 1500 {
		key := keys[rnd.IntN(len(keys))]
		now, exists := there[key]
		version := []string{"", now.version, stale}[rnd.IntN(3)]
		opts := &driver.PutOptions{Durability: driver.Durability(rnd.IntN(3)), IfVersion: version}
		opts.IfAbsent = version == "" && rnd.IntN(2) == 0
		switch rnd.IntN(5) {
		case 0, 1:
			content := fmt.Sprint("step ", step)
			info, err := d.Put(t.Context(), key, strings.NewReader(content), opts)
			switch {
			case opts.IfAbsent && exists:
				require.ErrorIs(t, err, driver.ErrExist)
			case version != "" && version != now.version:
				require.ErrorIs(t, err, driver.ErrChanged)
			default:
				require.NoError(t, err)
				if exists {
					stale = now.version
				}
				there[key] = state{content, info.Version}
			}
		case 2:
			err := d.Delete(t.Context(), key, version)
			switch {
			case !exists && version == "" && s.BlindDelete:
				require.NoError(t, err)
			case !exists:
				require.Error(t, err)
			case version != "" && version != now.version:
				require.ErrorIs(t, err, driver.ErrChanged)
			default:
				require.NoError(t, err)
				stale = now.version
				delete(there, key)
			}
		case 3:
			content, info, err := fetch(t.Context(), d, key)
			if !exists {
				require.ErrorIs(t, err, driver.ErrNotExist)
				break
			}
			require.NoError(t, err)
			require.Equal(t, now, state{content, info.Version})
		case 4:
			prefix := []string{"", "a/", "b/", "c/5/"}[rnd.IntN(4)]
			want := expect(slices.Sorted(maps.Keys(there)), prefix, key)
			requireKeys(t, want, list(t, d, prefix, &driver.ListOptions{After: key}))
			require.NoError(t, d.Sync(t.Context(), key))
		}
	}
}
