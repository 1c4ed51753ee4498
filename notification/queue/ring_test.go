package queue

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
)

// TestRingIsAFirstInFirstOutList compares the ring with a slice, under random pushes and pops.
func TestRingIsAFirstInFirstOutList(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := ring{max: 1 + random.IntN(40)}
		var model []notification.Event
		for i := range 300 {
			if random.IntN(2) == 0 {
				events := make([]notification.Event, random.IntN(8))
				for j := range events {
					events[j].ID = fmt.Sprint(i, " ", j)
				}
				n := r.push(events)
				require.Equal(t, min(len(events), r.max-len(model)), n)
				model = append(model, events[:n]...)
			} else {
				n := random.IntN(10)
				got := r.pop(n)
				require.Len(t, got, min(n, len(model)))
				for j := range got {
					require.Equal(t, model[j], got[j])
				}
				model = model[len(got):]
			}
			require.Equal(t, len(model), r.n)
			require.LessOrEqual(t, len(r.events), r.max)
			if len(model) > 0 {
				require.Equal(t, model[0].ID, r.oldest().ID)
			}
		}
		r.pop(r.n)
		for _, e := range r.events {
			require.Zero(t, e) // nothing is kept in memory
		}
	}
}
