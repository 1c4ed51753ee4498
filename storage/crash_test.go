package storage_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestCrashAfterEachWrite runs the script once for each of its writes, and cuts the storage off
// right after that write.
func TestCrashAfterEachWrite(t *testing.T) {
	n, unnoticed := 0, 0
	for ; ; n++ {
		driver := newMemory(t)
		newStore(t, driver, nil)
		faulty := drivertest.NewFaulty(driver, nil)
		w := newWorkload(t.Context(), newStore(t, faulty, nil))
		faulty.CutAfter(n)
		err := w.run()
		at := fmt.Sprintf("after write %d", n)
		again := newStore(t, driver, nil)
		w.check(t, again, at)
		// The same pushes succeed again.
		w2 := newWorkload(t.Context(), again)
		require.NoError(t, w2.run(), at)
		w2.check(t, again, at+", again")
		if !faulty.Cut() {
			require.NoError(t, err)
			break
		}
		if err == nil {
			unnoticed++
		}
	}
	// The last write of the script removes the data of a cancelled upload. It is the only write
	// that may fail unnoticed.
	require.LessOrEqual(t, unnoticed, 1)
	t.Logf("interrupted after each of %d writes", n)
	require.Greater(t, n, 80)
}

// TestFailureAtEachWrite lets each write of the script in turn fail, or succeed with a lost
// response. The client gets an error. Acknowledged content stays, and pushing again repairs the
// rest.
func TestFailureAtEachWrite(t *testing.T) {
	for name, fail := range map[string]func(f *drivertest.Faulty, n int){
		"not done":      (*drivertest.Faulty).FailWrite,
		"response lost": (*drivertest.Faulty).LoseResponse,
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				driver := newMemory(t)
				newStore(t, driver, nil)
				faulty := drivertest.NewFaulty(driver, nil)
				store := newStore(t, faulty, nil)
				w := newWorkload(t.Context(), store)
				before := faulty.Writes()
				fail(faulty, n)
				err := w.run()
				at := fmt.Sprintf("write %d", n)
				w.check(t, store, at)
				if err == nil && faulty.Writes()-before < n {
					t.Logf("%d writes", n-1)
					return
				}
				w2 := newWorkload(t.Context(), store)
				require.NoError(t, w2.run(), at)
				w2.check(t, store, at+", again")
			}
		})
	}
}

// TestCrashOfDeleteIsFinishedByNext interrupts a delete after each of its writes. The next
// delete finishes it, and none of the tags remains.
func TestCrashOfDeleteIsFinishedByNext(t *testing.T) {
	names := []string{"a", "b", "c"}
	for n := 0; ; n++ {
		driver := newMemory(t)
		store := newStore(t, driver, nil)
		desc := putImage(t, store, "r", image("r", nil, pushBlob(t, store, "r", []byte("{}"))), tags(names...))
		faulty := drivertest.NewFaulty(driver, nil)
		dying := newStore(t, faulty, nil)
		faulty.CutAfter(n)
		err := dying.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil)
		if !faulty.Cut() {
			require.NoError(t, err)
			require.Greater(t, n, 2*len(names))
			return
		}
		again := newStore(t, driver, nil)
		if err := again.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil); err != nil {
			require.ErrorIs(t, err, registry.ErrManifestUnknown, "after write %d", n)
		}
		for _, name := range names {
			_, err := again.StatManifest(t.Context(), "r", byTag(name), nil)
			require.ErrorIs(t, err, registry.ErrManifestUnknown, "tag %s after write %d", name, n)
		}
	}
}
