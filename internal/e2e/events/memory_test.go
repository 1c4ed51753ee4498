package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
	"github.com/stretchr/testify/require"
)

// TestReplicasInMemory has two replicas in this process share a storage, in virtual time. One of
// them dies after each possible write in turn. The other one delivers the events of both.
func TestReplicasInMemory(t *testing.T) {
	cuts, step := 60, size(3, 1)
	for cut := 0; cut < cuts; cut += step {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { dieAfter(t, cut) })
		})
	}
}

func dieAfter(t *testing.T, writes int) {
	shared, all, r := memory.New(nil), &ledger{}, newFunc(uint64(writes))
	ctx, cancel := context.WithCancel(t.Context())
	mortal := newReplica(ctx, t, "mortal", drivertest.NewFaulty(shared, nil), r)
	other := newReplica(ctx, t, "other", drivertest.NewFaulty(shared, nil), r)
	var wg sync.WaitGroup
	mortal.storage.CutAfter(writes)
	for i := range 3 {
		p := &goPusher{repo: fmt.Sprintf("events/r%d", i), replicas: []*replica{mortal, other}, all: all,
			rng: rand.New(rand.NewPCG(uint64(writes), uint64(i)))}
		wg.Go(func() {
			for range 6 {
				p.push(t.Context())
			}
		})
	}
	wg.Wait()
	mortal.stop()
	acked, open := all.acknowledged()
	require.NotEmpty(t, acked)
	start := time.Now() // virtual: the lease must end, and the pauses after failures
	for len(missing(acked, r.received())) > 0 && time.Since(start) < 2*time.Hour {
		time.Sleep(time.Second)
	}
	require.Empty(t, missing(acked, r.received()))
	requireOrder(t, all, r.received())
	duplicates, unseen := r.duplicates()
	require.LessOrEqual(t, duplicates, unseen+r.busiest(time.Second))

	time.Sleep(time.Minute) // changes are older than the grace of Reindex
	report, err := other.box.Reindex(ctx, other.store, nil)
	require.NoError(t, err)
	visible := slices.DeleteFunc(open, func(p pushed) bool {
		_, err := other.store.GetManifest(ctx, p.repo, reference.Ref{Digest: p.digest})
		return err != nil
	})
	start = time.Now()
	for len(unknown(visible, r.received())) > 0 && time.Since(start) < 2*time.Hour {
		time.Sleep(time.Second)
	}
	require.Empty(t, unknown(visible, r.received()), "%+v", report)
	cancel()
	other.stop()
}

// replica is a registry in this process, with an outbox.
type replica struct {
	storage *drivertest.Faulty
	store   *storage.Store
	box     *outbox.Outbox
	backend registry.Backend
	stop    func()
}

func newReplica(ctx context.Context, t *testing.T, name string, d *drivertest.Faulty, r *receiverFunc) *replica {
	t.Helper()
	var below driver.Driver = d
	store, err := storage.New(ctx, below, nil)
	require.NoError(t, err)
	box, err := outbox.New(below, []outbox.Destination{{Name: "test", Sink: r}}, &outbox.Options{
		Instance: name, SinkTimeout: 5 * time.Second})
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{Sink: box, Instance: name})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		_ = box.Run(ctx)
		close(done)
	}()
	return &replica{storage: d, store: store, box: box, backend: reg.Backend(auth.Identity{Name: "test"}),
		stop: func() { cancel(); <-done }}
}

// goPusher is a pusher that calls the registry from Go.
type goPusher struct {
	repo     string
	replicas []*replica
	all      *ledger
	rng      *rand.Rand
	next     int
}

// push makes one push, through a random replica at each attempt.
func (p *goPusher) push(ctx context.Context) {
	config := fmt.Appendf(nil, `{"author":"%s %d"}`, p.repo, p.next)
	m := harness.Manifest(fmt.Sprint(p.repo, " ", p.next), config)
	made := pushed{repo: p.repo, tag: fmt.Sprintf("t%d", p.rng.IntN(2)), digest: digest.FromBytes(m), number: p.next}
	p.next++
	for range 1 + p.rng.IntN(3) {
		b := p.replicas[p.rng.IntN(len(p.replicas))].backend
		_, err := registry.PushBlob(ctx, b, p.repo, "", bytes.NewReader(config))
		if err == nil {
			_, err = b.PutManifest(ctx, p.repo, imagespec.MediaTypeImageManifest, m,
				&registry.PutOptions{Tags: []registry.TagPut{{Name: made.tag}}})
		}
		if made.acked = err == nil; made.acked {
			break
		}
		p.all.failed()
	}
	p.all.add(made)
}

// receiverFunc is a receiver in this process. It fails as often as a receiver of webhooks.
type receiverFunc struct {
	receiver
	rng *rand.Rand
}

func newFunc(seed uint64) *receiverFunc {
	return &receiverFunc{rng: rand.New(rand.NewPCG(seed, 2)),
		receiver: receiver{attempts: map[string]int{}, counts: map[fault]int{}}}
}

var errFlaky = errors.New("as the test wants it")

// Notify implements notification.Sink.
func (r *receiverFunc) Notify(ctx context.Context, events []notification.Event) error {
	r.mu.Lock()
	dice := r.rng.IntN(10)
	r.mu.Unlock()
	switch dice {
	case 0:
		return errFlaky
	case 1:
		<-ctx.Done()
		return ctx.Err()
	case 2:
		n := len(events) / 2
		if err := r.take(events[:n], accept); err != nil {
			return err
		}
		return notification.Partial(n, errFlaky)
	case 3:
		return errors.Join(r.take(events, closeAfter), errFlaky)
	}
	return r.take(events, accept)
}

func (r *receiverFunc) take(events []notification.Event, f fault) error {
	for _, e := range events {
		var got event
		if err := json.Unmarshal([]byte(e.String()), &got); err != nil {
			return err
		}
		r.note(got, f)
	}
	return nil
}
