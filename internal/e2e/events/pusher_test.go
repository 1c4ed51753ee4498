package events

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// pushed is one push of a manifest with a tag.
type pushed struct {
	repo   string
	tag    string
	digest digest.Digest
	number int  // of the push in its repository, from 0
	acked  bool // 201; otherwise the push may have happened or not
}

// ledger has the pushes of all pushers.
type ledger struct {
	mu     sync.Mutex
	pushes []pushed
	errors int           // requests without a success
	took   time.Duration // of the pushes that succeeded at the first attempt
	timed  int           // their number
}

func (l *ledger) add(p pushed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pushes = append(l.pushes, p)
}

// acknowledged returns the pushes that were acknowledged, and the others.
func (l *ledger) acknowledged() (acked, open []pushed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pushes {
		if p.acked {
			acked = append(acked, p)
		} else {
			open = append(open, p)
		}
	}
	return acked, open
}

// pusher pushes images to one repository, one after the other. Its tags move.
type pusher struct {
	c    *harness.Client
	repo string
	rng  *rand.Rand
	all  *ledger
	next int // the number of the next push

	layer int // size of a layer in bytes; 0 means small layers, which several images share
}

// newPushers returns pushers for repositories of their own. Route of their clients is not nil if
// they send requests to several servers.
func newPushers(n int, seed uint64, all *ledger, client func() *harness.Client) []*pusher {
	pushers := make([]*pusher, n)
	for i := range pushers {
		pushers[i] = &pusher{c: client(), repo: fmt.Sprintf("events/r%d", i), all: all,
			rng: rand.New(rand.NewPCG(seed, uint64(100+i)))}
	}
	return pushers
}

// run pushes until the pusher has made n pushes in all or ctx ends. After an error, it repeats the
// push until it succeeds, as a client would, or gives up on it and goes on to the next one.
func (p *pusher) run(ctx context.Context, n int) {
	for p.next < n && ctx.Err() == nil {
		p.push(ctx)
	}
}

// push makes one push, with as many attempts as it takes.
func (p *pusher) push(ctx context.Context) {
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","author":"%s %d"}`, p.repo, p.next)
	layer := harness.RandomBytes(uint64(p.next%3), 1000)
	if p.layer > 0 {
		layer = harness.RandomBytes(p.rng.Uint64(), p.layer)
	}
	m := harness.Manifest(fmt.Sprint(p.repo, " ", p.next), config, layer)
	made := pushed{repo: p.repo, tag: fmt.Sprintf("t%d", p.rng.IntN(4)), digest: digest.FromBytes(m), number: p.next}
	p.next++
	for attempt := 0; ; attempt++ {
		start := time.Now()
		err := p.image(ctx, made.tag, m, config, layer)
		if err == nil {
			made.acked = true
			if attempt == 0 {
				p.all.measured(time.Since(start))
			}
			break
		}
		p.all.failed()
		if ctx.Err() != nil || p.rng.IntN(20) == 0 {
			break
		}
		pause(ctx, 20*time.Millisecond) // the server may be starting
	}
	p.all.add(made)
}

func (p *pusher) image(ctx context.Context, tag string, manifest []byte, blobs ...[]byte) error {
	for _, b := range blobs {
		if _, err := p.c.PushBlob(ctx, p.repo, b); err != nil {
			return err
		}
	}
	return p.c.PutManifest(ctx, p.repo, tag, imagespec.MediaTypeImageManifest, manifest)
}

func (l *ledger) measured(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took += d
	l.timed++
}

func (l *ledger) failed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors++
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// pushAll runs the pushers at once until each has made n pushes or ctx ends.
func pushAll(ctx context.Context, pushers []*pusher, n int) {
	var wg sync.WaitGroup
	for _, p := range pushers {
		wg.Go(func() { p.run(ctx, n) })
	}
	wg.Wait()
}
