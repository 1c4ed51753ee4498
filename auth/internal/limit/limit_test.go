package limit_test

import (
	"encoding/binary"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/internal/limit"
)

func key(i int) (k limit.Key) {
	binary.BigEndian.PutUint64(k[:], uint64(i))
	return k
}

func TestLimiter(t *testing.T) {
	clock := time.Now()
	l := limit.New(10, func() time.Time { return clock })
	for range 10 {
		require.Zero(t, l.Begin(key(1)))
	}
	for range 100 {
		require.Equal(t, limit.Period/10, l.Begin(key(1)),
			"refused attempts do not extend the wait")
	}
	require.Zero(t, l.Begin(key(2)))
	clock = clock.Add(limit.Period/10 - 1)
	require.Equal(t, time.Duration(1), l.Begin(key(1)))
	clock = clock.Add(1)
	require.Zero(t, l.Begin(key(1)))
	require.NotZero(t, l.Begin(key(1)))
	l.Undo(key(1))
	require.Zero(t, l.Begin(key(1)))
	require.NotZero(t, l.Begin(key(1)))
	clock = clock.Add(limit.Period)
	for range 10 {
		require.Zero(t, l.Begin(key(1)))
	}
	require.NotZero(t, l.Begin(key(1)))
	l.Undo(key(3))
	for range 10 {
		require.Zero(t, l.Begin(key(3)), "undoing an attempt that was never begun gives no credit")
	}
	require.NotZero(t, l.Begin(key(3)))
}

// TestUndoAfterForgivenLeavesNoCredit undoes an attempt after its failure was forgiven.
func TestUndoAfterForgivenLeavesNoCredit(t *testing.T) {
	clock := time.Now()
	l := limit.New(2, func() time.Time { return clock })
	require.Zero(t, l.Begin(key(1)))
	clock = clock.Add(time.Hour)
	l.Undo(key(1))
	require.Zero(t, l.Begin(key(1)))
	require.Zero(t, l.Begin(key(1)))
	require.NotZero(t, l.Begin(key(1)))
}

// TestConcurrentAttemptsAllCounted: concurrent attempts count like attempts one after the other.
func TestConcurrentAttemptsAllCounted(t *testing.T) {
	l := limit.New(7, time.Now)
	var passed atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if l.Begin(key(1)) == 0 {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 7, passed.Load())
}

// TestMemoryBounded: failures of ever new keys do not fill the memory, and a key that keeps failing
// is not forgotten.
func TestMemoryBounded(t *testing.T) {
	clock := time.Now()
	l := limit.New(1000, func() time.Time { return clock })
	for i := range 5 * limit.MaxKeys / 2 {
		require.Zero(t, l.Begin(key(i+1)))
		if i%(limit.MaxKeys/2) == 0 {
			require.Zero(t, l.Begin(key(0)))
		}
		require.LessOrEqual(t, l.Len(), limit.MaxKeys)
	}
	for range 1000 - 5 {
		require.Zero(t, l.Begin(key(0)))
	}
	require.NotZero(t, l.Begin(key(0)))
}

func TestAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:99", nil, "192.0.2.1/32"},
		{"192.0.2.1:99", []string{"198.51.100.7"}, "192.0.2.1/32"}, // any client can send it
		{"10.0.0.1:99", nil, "10.0.0.1/32"},
		{"10.0.0.1:99", []string{"198.51.100.7"}, "198.51.100.7/32"},
		{"10.0.0.1:99", []string{"198.51.100.7:1234"}, "198.51.100.7/32"},
		{"10.0.0.1:99", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7/32"}, // the client invented the first
		{"10.0.0.1:99", []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7/32"},
		{"10.0.0.1:99", []string{"198.51.100.7, 10.9.9.9"}, "198.51.100.7/32"},
		{"10.0.0.1:99", []string{"198.51.100.7", "10.9.9.9 , 10.8.8.8"}, "198.51.100.7/32"},
		{"10.0.0.1:99", []string{"198.51.100.7, unknown"}, "10.0.0.1/32"},
		{"10.0.0.1:99", []string{"198.51.100.7, 10.9.9.9, _x"}, "10.0.0.1/32"},
		{"10.0.0.1:99", []string{""}, "10.0.0.1/32"},
		{"10.0.0.1:99", []string{"10.1.1.1,10.2.2.2"}, "10.1.1.1/32"},
		{"10.0.0.1:99", []string{strings.Repeat("198.51.100.7,", 9) + strings.Repeat("10.0.0.9,", 99) + "10.0.0.9"},
			"10.0.0.9/32"},
		{"[::ffff:10.0.0.1]:99", []string{"::ffff:198.51.100.7"}, "198.51.100.7/32"},
		{"[2001:db8:1:2:3:4:5:6]:99", nil, "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:99", nil, "fe80::/64"},
		{"[fd00::1]:99", []string{"2001:db8:1:2:ffff::1"}, "2001:db8:1:2::/64"},
		{"[fd00::1]:99", []string{"[2001:db8:1:2:ffff::1]:80"}, "2001:db8:1:2::/64"},
		{"@", []string{"198.51.100.7"}, "invalid Prefix"},
		{"", nil, "invalid Prefix"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		require.Equal(t, c.want, limit.Address(r, trusted).String(), "%+v", c)
	}
}
