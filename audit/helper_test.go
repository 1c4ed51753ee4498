package audit_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(processFolder); folder != "" {
		pushForever(folder)
		return
	}
	os.Exit(m.Run())
}

func newLog(t *testing.T, d driver.Driver, opts *audit.Options) *audit.Log {
	t.Helper()
	l, err := audit.New(d, opts)
	require.NoError(t, err)
	return l
}

// day is a day on which the records of tests are.
var day = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// push returns the event of a push at a time.
func push(id string, at time.Time, actor, repo string, tags ...string) notification.Event {
	return notification.Event{ID: id, Time: at, Action: notification.Push, Kind: notification.Manifest, Repository: repo,
		Tags: tags, Actor: actor}
}

// notify stores the events, one object each.
func notify(t *testing.T, l *audit.Log, events ...notification.Event) {
	t.Helper()
	for _, e := range events {
		require.NoError(t, l.Notify(t.Context(), []notification.Event{e}))
	}
}

// ids returns the IDs that a query finds, page by page, and the number of pages.
func ids(t *testing.T, l *audit.Log, q *audit.Query, limit int) (found []string, pages int) {
	t.Helper()
	found = []string{}
	for cursor := ""; ; {
		records, next, err := l.Page(t.Context(), q, cursor, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(records), limit)
		for _, r := range records {
			found = append(found, r.ID)
		}
		pages++
		if next == "" {
			return found, pages
		}
		require.NotEqual(t, cursor, next, "a page must make progress")
		cursor = next
	}
}

// all returns all records.
func all(t *testing.T, l *audit.Log, q *audit.Query) []audit.Record {
	t.Helper()
	found := []audit.Record{}
	for r, err := range l.Records(t.Context(), q) {
		require.NoError(t, err)
		found = append(found, r)
	}
	return found
}

// objects returns the keys of the log.
func objects(t *testing.T, d driver.Driver) (keys []string) {
	t.Helper()
	for info, err := range d.List(context.Background(), "l/", nil) {
		require.NoError(t, err)
		keys = append(keys, info.Key)
	}
	return keys
}

// number returns an ID that sorts by its number.
func number(n int) string { return fmt.Sprintf("id-%06d", n) }
