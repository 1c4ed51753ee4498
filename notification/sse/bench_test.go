package sse_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/sse"
)

// BenchmarkNotify measures what a request of the registry waits for.
func BenchmarkNotify(b *testing.B) {
	for _, clients := range []int{0, 10, 100} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			h, server := newServer(b, &sse.Options{Keep: 100_000})
			for range clients {
				s := open(b, server, "", "", "")
				go func() {
					for s.lines.Scan() {
					}
				}()
			}
			events := []notification.Event{push("a", 1)[0]}
			for b.Loop() {
				require.NoError(b, h.Notify(b.Context(), events))
			}
		})
	}
}
