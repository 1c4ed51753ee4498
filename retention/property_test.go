package retention_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

var propertyRules = []string{
	newestOne,
	"rules:\n- {name: three, tags: [v*], keep: {newest: 3}}\n- {name: untagged, untagged: true, keep: none}\n",
	"rules:\n- {name: none, tags: [v*, \"!v1\"], keep: none}\n",
	"rules:\n- {name: signed, tags: [v*], keep: {signed: true}}\n- {name: rest, untagged: true, keep: {newest: 1}}\n",
}

// TestApplyProperties applies plans to random graphs, with several appliers, pushes and retags at the same
// time, failures of the storage and contexts that end. Nothing goes that a rule keeps or that was pushed
// meanwhile, what stays is whole, and Undo brings back the rest. REGISTRYKIT_RETENTION_SEEDS sets the
// number of seeds, and REGISTRYKIT_RETENTION_SEED runs one.
func TestApplyProperties(t *testing.T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	first, seeds := 0, number("REGISTRYKIT_RETENTION_SEEDS", 60)
	if testing.Short() {
		seeds = min(seeds, 15)
	}
	if one := number("REGISTRYKIT_RETENTION_SEED", -1); one >= 0 {
		first, seeds = one, 1
	}
	removed := int64(0)
	for seed := first; seed < first+seeds; seed++ {
		removed += runProperty(t, seed)
	}
	t.Logf("%d seeds, %d tags removed", seeds, removed)
}

// property is one run of TestApplyProperties.
type property struct {
	*world
	seed   int
	rnd    *rand.Rand
	mu     sync.Mutex
	pushed map[string][]digest.Digest // acknowledged settings of tags, while appliers run, in their order
	failed map[string]bool            // tags of pushes that were refused: such a push may create and remove the tag
	refs   map[digest.Digest]digest.Digest
}

func runProperty(t *testing.T, seed int) int64 {
	t.Helper()
	p := &property{
		world: newWorld(t, kept30), seed: seed, rnd: rand.New(rand.NewPCG(uint64(seed), 9)),
		pushed: map[string][]digest.Digest{}, refs: map[digest.Digest]digest.Digest{},
		failed: map[string]bool{},
	}
	all := p.grow()
	tags, manifests := p.content()
	plan := p.plan(propertyRules[seed%len(propertyRules)])
	var wg sync.WaitGroup
	for i := range 3 {
		r := rand.New(rand.NewPCG(uint64(seed), uint64(100+i)))
		pushes := r.Uint64()
		wg.Go(func() { p.applyBadly(r, plan) })
		wg.Go(func() { p.pushSome(pushes, all) })
	}
	wg.Wait()
	res, _ := p.apply(plan)
	left, _ := p.content()
	p.checkKept(tags, plan)
	requireWhole(t, p.store)
	p.checkReferrers(manifests)
	// What interrupted deletes have left must not matter to a collection.
	_, err := p.store.Collect(t.Context(), &storage.CollectOptions{Grace: -1})
	require.NoError(t, err)
	requireWhole(t, p.store)

	_, refused := p.undo(plan)
	again, manifestsAgain := p.content()
	for tag, was := range tags {
		if len(p.pushed[tag]) == 0 && !p.failed[tag] {
			require.Equal(t, was, again[tag], "seed %d: the tag %s; refused: %v", seed, tag, refused)
		}
	}
	for d := range manifests {
		require.True(t, manifestsAgain[d], "seed %d: the manifest %s; refused: %v", seed, d, refused)
	}
	requireWhole(t, p.store)
	gone := int64(0)
	for tag := range tags {
		if left[tag] == "" {
			gone++
		}
	}
	require.LessOrEqual(t, res.Tags, gone)
	return gone
}

// grow pushes a random graph.
func (p *property) grow() []ocispec.Descriptor {
	var all []ocispec.Descriptor
	some := func() ocispec.Descriptor { return all[p.rnd.IntN(len(all))] }
	for n := range 6 + p.rnd.IntN(10) {
		var d ocispec.Descriptor
		switch kind := p.rnd.IntN(6); {
		case n < 2 || kind < 2:
			d = p.image()
		case kind < 4:
			children := []ocispec.Descriptor{some()}
			if other := some(); other.Digest != children[0].Digest {
				children = append(children, other)
			}
			d = p.index("", children...)
		default:
			subject := some()
			d = p.referrer(subject, "application/vnd.dev.cosign.artifact.sig.v1+json")
			p.refs[d.Digest] = subject.Digest
		}
		all = append(all, d)
		if p.rnd.IntN(8) == 0 {
			p.tag(d, subjecttag.Of(some().Digest)+[]string{"", ".sig", ".att"}[p.rnd.IntN(3)])
		}
		for p.rnd.IntN(2) == 0 {
			p.tag(d, fmt.Sprintf("%s%d", []string{"v", "v", "v", "other"}[p.rnd.IntN(4)], p.rnd.IntN(8)))
		}
	}
	return all
}

// applyBadly applies a plan through a storage that fails, or with a context that ends.
func (p *property) applyBadly(r *rand.Rand, plan []byte) {
	faulty := drivertest.NewFaulty(p.driver, nil)
	s, err := storage.New(context.Background(), faulty, kept30)
	if err != nil {
		return
	}
	planner, err := retention.New(s, faulty, nil, &p.opts)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch n := 1 + r.IntN(60); r.IntN(5) {
	case 0:
		faulty.CutAfter(n)
	case 1:
		faulty.FailWrite(n)
	case 2:
		faulty.LoseResponse(n)
	case 3:
		time.AfterFunc(time.Duration(n)*100*time.Microsecond, cancel)
	}
	_, _ = planner.Apply(ctx, s, bytes.NewReader(plan), nil)
}

// pushSome sets tags again, moves them, and pushes indexes and referrers with tags.
func (p *property) pushSome(seed uint64, all []ocispec.Descriptor) {
	r := rand.New(rand.NewPCG(seed, 3))
	s, err := storage.New(context.Background(), p.driver, kept30)
	if err != nil {
		return
	}
	for range r.IntN(6) {
		d, tag := all[r.IntN(len(all))], fmt.Sprintf("v%d", r.IntN(8))
		var content []byte
		switch r.IntN(3) {
		case 0:
			m, err := s.GetManifest(context.Background(), app, reference.Ref{Digest: d.Digest})
			if err != nil {
				continue // removed
			}
			content = m.Content
		case 1:
			content = encode(ocispec.Index{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
				Manifests: []ocispec.Descriptor{d}, Annotations: map[string]string{"n": fmt.Sprint(r.Uint64())},
			})
		default:
			tag = fmt.Sprintf("late%d", r.Uint32())
			content = encode(ocispec.Index{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
				Manifests: []ocispec.Descriptor{}, Subject: &d,
			})
		}
		p.mu.Lock() // so that the order of the settings of a tag is known
		res, err := s.PutManifest(context.Background(), app, "", content,
			&registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}})
		if err == nil {
			p.pushed[tag] = append(p.pushed[tag], res.Descriptor.Digest)
		} else if p.failed[tag] = true; !errors.Is(err, registry.ErrManifestBlobUnknown) {
			p.t.Errorf("seed %d: push: %v", p.seed, err)
		}
		p.mu.Unlock()
	}
}

// checkKept checks that the tags are there that the plan keeps, and those that were pushed since.
func (p *property) checkKept(before map[string]string, plan []byte) {
	p.t.Helper()
	now, _ := p.content()
	for tag, list := range p.pushed {
		require.Contains(p.t, now, tag, "seed %d: pushed since the plan", p.seed)
		require.Equal(p.t, string(list[len(list)-1]), now[tag][:len(list[0])], "seed %d: %s", p.seed, tag)
	}
	in, err := retention.ReadPlan(bytes.NewReader(plan))
	require.NoError(p.t, err)
	for lines, err := range in.Repositories() {
		require.NoError(p.t, err)
		for _, l := range lines {
			if l.Tag != "" && l.Decision == retention.Stays && len(p.pushed[l.Tag]) == 0 {
				require.Equal(p.t, before[l.Tag], now[l.Tag], "seed %d: the plan keeps %s", p.seed, l.Tag)
			}
		}
	}
}

// checkReferrers checks that the referrers of what is there are there, and that each manifest that is there
// is whole.
func (p *property) checkReferrers(before map[digest.Digest]bool) {
	p.t.Helper()
	_, now := p.content()
	again := map[digest.Digest]bool{} // a push may have brought a subject back after it was removed
	for _, list := range p.pushed {
		for _, d := range list {
			again[d] = true
		}
	}
	for referrer, subject := range p.refs {
		if before[referrer] && now[subject] && !again[subject] {
			require.True(p.t, now[referrer], "seed %d: the referrer %s of %s, which is there", p.seed, referrer, subject)
			found := false
			for d, err := range p.store.Referrers(p.t.Context(), app, subject, nil) {
				require.NoError(p.t, err)
				found = found || d.Digest == referrer
			}
			require.True(p.t, found, "seed %d: the referrer is listed", p.seed)
		}
	}
	for d := range now {
		require.NoError(p.t, pull(p.t.Context(), p.store, reference.Ref{Digest: d}), "seed %d", p.seed)
	}
}
