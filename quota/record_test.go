package quota

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/memory"
)

// bytesOf returns an amount of bytes.
func bytesOf(n int64) Amounts { return Amounts{Bytes: n} }

// countedRecord returns a record of a prefix that has 100 bytes.
func countedRecord() *record {
	r := newRecord().clone()
	life, epoch := r.beginCount(time.Now(), time.Hour)
	r.endCount(life, counted{Figure: bytesOf(100), Covers: epoch})
	return r
}

// TestRecordKeepsWhatACountMayMiss: what was stored while a count ran counts after it, whether it was
// charged or free, and whether it has ended.
func TestRecordKeepsWhatACountMayMiss(t *testing.T) {
	now := time.Now()
	r := countedRecord()
	free := claim{free: bytesOf(10), gen: r.gen()}
	charged := claim{charged: bytesOf(1), gen: r.gen()}
	require.NoError(t, r.hold("before", free, Amounts{}, now))
	r.end("before", free, true)
	life, epoch := r.beginCount(now, time.Hour)
	for _, id := range []string{"ended", "going on"} {
		require.NoError(t, r.hold(id+" free", free, Amounts{}, now))
		require.NoError(t, r.hold(id+" charged", charged, Amounts{}, now))
	}
	r.end("ended free", free, true)
	r.end("ended charged", charged, true)
	require.Equal(t, bytesOf(102), r.figure())
	require.True(t, r.endCount(life, counted{Figure: bytesOf(100), Covers: epoch}))
	require.Equal(t, bytesOf(122), r.figure())

	r.end("going on free", free, true) // as it had been held
	r.end("going on charged", charged, true)
	require.Equal(t, bytesOf(122), r.figure())
	life, epoch = r.beginCount(now, time.Hour)
	require.True(t, r.endCount(life, counted{Figure: bytesOf(122), Covers: epoch}))
	require.Equal(t, bytesOf(122), r.figure())
	require.Empty(t, r.Added)
	require.Empty(t, r.Holds)
}

// TestRecordRefusesAnOutdatedLook: a push that found its blob in the prefix looks again after a count.
func TestRecordRefusesAnOutdatedLook(t *testing.T) {
	now := time.Now()
	r := countedRecord()
	c := claim{free: bytesOf(10), gen: r.gen()}
	life, epoch := r.beginCount(now, time.Hour)
	require.True(t, r.endCount(life, counted{Figure: bytesOf(0), Covers: epoch}))
	require.ErrorIs(t, r.hold("a", c, Amounts{}, now), errMoved)
	require.ErrorIs(t, newRecord().clone().hold("a", c, Amounts{}, now), errUncounted)
}

// TestRecordIgnoresAnOlderCount: a count that ends after a later one changes nothing, and neither does
// one of a record that was lost.
func TestRecordIgnoresAnOlderCount(t *testing.T) {
	now := time.Now()
	r := countedRecord()
	life, older := r.beginCount(now, time.Hour)
	_, later := r.beginCount(now, time.Hour)
	require.True(t, r.endCount(life, counted{Figure: bytesOf(2), Covers: later}))
	require.False(t, r.endCount(life, counted{Figure: bytesOf(1), Covers: older}))
	require.False(t, r.endCount("another", counted{Figure: bytesOf(1), Covers: later + 1}))
	require.Equal(t, bytesOf(2), r.figure())
}

// TestRecordExpiry: what a dead process holds counts until a count that began later has ended.
func TestRecordExpiry(t *testing.T) {
	then := time.Now().Add(-2 * time.Hour)
	r := countedRecord()
	require.NoError(t, r.hold("dead", claim{charged: bytesOf(10)}, Amounts{}, then))
	require.NoError(t, r.hold("alive", claim{charged: bytesOf(1)}, Amounts{}, time.Now()))
	life, first := r.beginCount(then.Add(time.Minute), time.Hour)
	require.True(t, r.endCount(life, counted{Figure: bytesOf(100), Covers: first}))
	require.Equal(t, bytesOf(111), r.figure(), "it is not known to be dead")
	life, second := r.beginCount(time.Now(), time.Hour)
	require.Equal(t, bytesOf(111), r.figure())
	require.True(t, r.endCount(life, counted{Figure: bytesOf(110), Covers: second}))
	require.Equal(t, bytesOf(111), r.figure())
	require.Len(t, r.Holds, 1)
}

// TestRecordIsBounded: counts that fail, and pushes at the same time, do not make a record grow.
func TestRecordIsBounded(t *testing.T) {
	now := time.Now()
	r := countedRecord()
	for range 100 {
		r.beginCount(now, time.Hour)
		r.end("", claim{charged: bytesOf(1), gen: r.gen()}, true)
	}
	require.Len(t, r.Added, maxEpochs)
	require.Equal(t, bytesOf(200), r.figure())
	for i := range maxHolds {
		require.NoError(t, r.hold(fmt.Sprintf("u%016x", i), claim{charged: bytesOf(1)}, Amounts{}, now))
	}
	require.ErrorIs(t, r.hold("", claim{charged: bytesOf(1)}, Amounts{}, now), errTooMany)
	require.NoError(t, r.hold(fmt.Sprintf("u%016x", 1), claim{charged: bytesOf(1)}, Amounts{}, now))
	b, err := r.encode()
	require.NoError(t, err)
	require.Less(t, len(b), maxRecord)
}

// TestRecordHuge: a client can announce any length.
func TestRecordHuge(t *testing.T) {
	r := countedRecord()
	for range 3 {
		require.NoError(t, r.hold("a", claim{charged: bytesOf(1<<63 - 1)}, Amounts{}, time.Now()))
		require.NoError(t, r.hold("b", claim{charged: bytesOf(1<<63 - 1)}, Amounts{}, time.Now()))
	}
	require.Equal(t, bytesOf(1<<63-1), r.figure())
	var e *excess
	require.ErrorAs(t, r.hold("c", claim{charged: bytesOf(1<<63 - 1)}, bytesOf(200), time.Now()), &e)
	require.NoError(t, r.hold("d", claim{charged: Amounts{Tags: 1}}, bytesOf(200), time.Now()), "not limited")
}

// FuzzRecord: a damaged record is no record.
func FuzzRecord(f *testing.F) {
	b, err := countedRecord().encode()
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte("1\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := memory.New(nil)
		_, err := d.Put(t.Context(), "q/a/b", strings.NewReader(string(b)), nil)
		require.NoError(t, err)
		r, version, err := readRecord(t.Context(), d, "q/a/b", "")
		require.NoError(t, err)
		c := r.clone()
		life, epoch := c.beginCount(time.Now(), time.Hour)
		c.endCount(life, counted{Covers: epoch})
		_, err = writeRecord(t.Context(), d, "q/a/b", version, c)
		require.NoError(t, err)
	})
}

// TestRecordSharesARepository: pushes to a new repository count it once together, whichever of them
// stores something.
func TestRecordSharesARepository(t *testing.T) {
	now, limit := time.Now(), Amounts{Repositories: 1}
	r := countedRecord()
	c := claim{charged: Amounts{Bytes: 1, Repositories: 1}, gen: r.gen(), repository: "a"}
	other := c
	other.repository = "b"
	for _, id := range []string{"1", "2", "3", "2"} {
		require.NoError(t, r.hold(id, c, limit, now))
		require.EqualValues(t, 1, r.figure().Repositories)
	}
	var e *excess
	require.ErrorAs(t, r.hold("4", other, limit, now), &e)
	require.EqualValues(t, 1, e.used)
	r.end("1", c, false)
	require.EqualValues(t, 1, r.figure().Repositories)
	r.end("2", c, true)
	require.EqualValues(t, 1, r.figure().Repositories)
	r.end("3", c, true)
	require.Equal(t, Amounts{Bytes: 102, Repositories: 1}, r.figure())
	require.NoError(t, r.hold("5", c, limit, now), "its look was before the others ended")
	r.end("5", c, true)
	require.Equal(t, Amounts{Bytes: 103, Repositories: 1}, r.figure())
	require.ErrorAs(t, r.hold("4", other, limit, now), &e)

	r = countedRecord()
	c.gen = r.gen()
	for _, id := range []string{"1", "2"} {
		require.NoError(t, r.hold(id, c, limit, now))
	}
	r.end("1", c, false)
	r.end("2", c, false)
	require.NoError(t, r.hold("4", other, limit, now))
}
