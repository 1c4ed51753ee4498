package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// countingDriver counts the reads of objects.
type countingDriver struct {
	driver.Driver
	reads atomic.Int64
}

func (d *countingDriver) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser,
	driver.Info, error) {
	d.reads.Add(1)
	return d.Driver.Open(ctx, key, opts)
}

// TestCostOfPeople: the views of accounts cost as much with many accounts as with a page of them: at most three
// reads of the storage for each row.
func TestCostOfPeople(t *testing.T) {
	d := &countingDriver{Driver: memory.New(nil)}
	s := newSiteOver(t, d, nil)
	acme, err := s.people.Lookup(t.Context(), "acme")
	require.NoError(t, err)
	add := func(from, to int) {
		for i := from; i < to; i++ {
			user, err := s.people.CreateUser(t.Context(), accounts.Actor{}, fmt.Sprintf("user%d", i), "", nil)
			require.NoError(t, err)
			require.NoError(t, s.people.AddMember(t.Context(), accounts.Actor{}, acme.ID, user.ID))
		}
	}
	cost := func(path string) int64 {
		s.get(t, "boss", path).shows(t, http.StatusOK) // what the caches have, they have
		before := d.reads.Load()
		s.get(t, "boss", path).shows(t, http.StatusOK)
		return d.reads.Load() - before
	}
	paths := []string{"/users", "/users?q=user1", "/users/ann", "/organisations", "/organisations/acme",
		"/organisations/acme/teams", "/organisations/acme/settings", "/robots/acme"}
	add(0, 60)
	few := map[string]int64{}
	for _, path := range paths {
		few[path] = cost(path)
	}
	add(60, 600)
	for _, path := range paths {
		many := cost(path)
		require.LessOrEqual(t, many, max(few[path], 3*50), "%s: %d reads, and %d with many", path, few[path], many)
	}
}
