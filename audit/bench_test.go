package audit_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/memory"
)

// BenchmarkPage measures pages of a day with 100,000 records in merged objects on disk.
func BenchmarkPage(b *testing.B) {
	d, err := disk.New(b.TempDir(), nil)
	require.NoError(b, err)
	l, err := audit.New(d, nil)
	require.NoError(b, err)
	for i := range 100 {
		var events []notification.Event
		for j := range 1000 {
			n := i*1000 + j
			e := push(fmt.Sprintf("%036d", n), day.Add(time.Duration(n)*800*time.Millisecond), fmt.Sprint("user", n%100),
				fmt.Sprintf("team%d/app%d", n%10, n%1000), "v1")
			e.Request = &notification.Request{ID: e.ID, Method: "PUT", RemoteAddr: "192.0.2.1:1", UserAgent: "docker/28.5.1"}
			events = append(events, e)
		}
		require.NoError(b, l.Notify(b.Context(), events))
	}
	whole := audit.Query{Since: day, Until: day.Add(24 * time.Hour)}
	for name, q := range map[string]audit.Query{
		"first": {}, "middle": {Until: day.Add(12 * time.Hour)}, "actor": {Actor: "user7"},
		"repository": {Repository: "team7/app7"}, "nothing": {Actor: "nobody"},
	} {
		b.Run(name, func(b *testing.B) {
			q.Since = day
			if q.Until.IsZero() {
				q.Until = whole.Until
			}
			for b.Loop() {
				_, _, err := l.Page(b.Context(), &q, "", 100)
				require.NoError(b, err)
			}
		})
	}
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, l.Export(b.Context(), &whole, io.Discard))
		}
	})
}

// BenchmarkDecided measures what a request waits for.
func BenchmarkDecided(b *testing.B) {
	l, err := audit.New(memory.New(nil), nil)
	require.NoError(b, err)
	refused := denied("bob", "192.0.2.1", "acme/app")
	allowed := auth.Decision{Identity: auth.Identity{Name: "ann"}, Allowed: true, Accesses: refused.Accesses}
	b.Run("allowed", func(b *testing.B) {
		for b.Loop() {
			l.Decided(b.Context(), allowed)
		}
	})
	b.Run("refused", func(b *testing.B) {
		for b.Loop() {
			l.Decided(b.Context(), refused)
		}
	})
}
