package fill_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// A fill of a blob of one block makes three requests to the storage more than the push of a client that
// sends all bytes with the digest: it writes the lease, looks whether the store has the blob meanwhile,
// and deletes the lease. The push of this test sends the digest after the bytes, so that a record is
// written and deleted, too. (The first push of a repository writes the repository, too, and only its
// second blob the index.)
func TestRequestsToTheStorage(t *testing.T) {
	for _, c := range []struct {
		size       int
		push, fill string
	}{
		{1 << 10, "Delete 1, Put 3, Sync 1", "Delete 1, Open 1, Put 3, Sync 1"},
		{1 << 20, "Delete 1, List 1, Put 6, Stat 2, Sync 2", "Delete 1, List 1, Open 1, Put 5, Stat 2, Sync 2"},
		// Three blocks and a byte: each of the blocks is an object, and changes the record.
		{12<<20 + 1, "Delete 1, List 1, Put 6, Stat 2, Sync 2", "Delete 2, List 1, Open 1, Put 12, Stat 6, Sync 2"},
	} {
		blob := content(5, c.size)
		d := drivertest.NewFaulty(memory.New(nil), nil)
		r := newReplica(t, d, &fill.Options{Lease: time.Hour})
		pushed := countRequests(d, func() {
			_, err := registry.PushBlob(t.Context(), r.store, repo+"/other", digest.FromBytes(blob[1:]),
				bytes.NewReader(blob[1:]))
			require.NoError(t, err)
		})
		filled := countRequests(d, func() {
			require.NoError(t, r.fills.Wait(t.Context(), request(blob, newSource(t, upstream(t, blob)))))
			r.fills.Close()
		})
		require.Equal(t, c.push, pushed)
		require.Equal(t, c.fill, filled)
	}
}

// countRequests returns the requests to the storage that do makes.
func countRequests(d *drivertest.Faulty, do func()) string {
	ops := []string{"Delete", "List", "Open", "Put", "Stat", "Sync"}
	before := map[string]int{}
	for _, op := range ops {
		before[op] = d.Count(op)
	}
	do()
	var made []string
	for _, op := range ops {
		if n := d.Count(op) - before[op]; n > 0 {
			made = append(made, fmt.Sprintf("%s %d", op, n))
		}
	}
	return strings.Join(made, ", ")
}
