package mirror

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestCost compares the processor time of pulls that the mirror has cached with that of a plain
// store. It is measured in turns, and the medians of the ratios count. Only the long form judges.
func TestCost(t *testing.T) {
	p := newPlace(t, harness.Ours)
	p.push(t, "library/one:v1")
	big := pushBig(t, p, "library/big", int64(size(16, 256))<<20)
	config := fmt.Sprintf("upstreams: [{name: docker.io, urls: ['http://%s']}]", p.seen.Addr)
	quiet := harness.Options{Args: []string{"-log-level", "error"}}
	mirror := newMirror(t, config, quiet)
	plain := harness.New(t, harness.Options{Kind: harness.Ours, Storage: t.TempDir(), Args: quiet.Args})
	crane := harness.NewProgram(t, "crane")
	for _, repo := range []string{"library/one", "library/big"} {
		crane.Run(t, "copy", p.upstream.Addr+"/"+repo+":v1", plain.Addr+"/docker.io/"+repo+":v1")
	}
	for _, load := range []struct {
		name string
		ops  int
		op   func(ctx context.Context, c *harness.Client) error
	}{
		{"pull of a small image", size(50, 400), func(ctx context.Context, c *harness.Client) error {
			return pullAsContainerd(ctx, c, "docker.io/library/one")
		}},
		{"pull of a large blob", size(8, 8), func(ctx context.Context, c *harness.Client) error {
			return drain(ctx, c, "docker.io/library/big", big.digest)
		}},
	} {
		var ratios []float64
		var last [2]time.Duration
		for round := range size(3, 11) + 1 {
			order := []int{round & 1, 1 - round&1}
			for _, i := range order {
				last[i] = cpuOf(t, []*harness.Server{mirror, plain}[i], load.ops, load.op)
			}
			if round > 0 { // the first one fills
				ratios = append(ratios, float64(last[0])/float64(last[1]))
			}
		}
		slices.Sort(ratios)
		median := ratios[(len(ratios)-1)/2]
		t.Logf("%s: %v of processor time, %v with a plain store; ratio %.2f (from %.2f to %.2f)", load.name,
			last[0]/time.Duration(load.ops), last[1]/time.Duration(load.ops), median, ratios[0], ratios[len(ratios)-1])
		if *full {
			require.LessOrEqual(t, median, 1.1, load.name)
		}
	}
}

// cpuOf returns the processor time that a server takes for some operations of four clients.
func cpuOf(t *testing.T, s *harness.Server, ops int, op func(context.Context, *harness.Client) error) time.Duration {
	t.Helper()
	before, err := harness.CPU(s.PID())
	require.NoError(t, err)
	c := harness.NewClient(s.URL())
	next, errs := make(chan struct{}, ops), make(chan error, ops)
	for range ops {
		next <- struct{}{}
	}
	close(next)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range next {
				errs <- op(t.Context(), c)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	after, err := harness.CPU(s.PID())
	require.NoError(t, err)
	return after - before
}

// drain reads a blob without looking at it, so that the client does not take the processor.
func drain(ctx context.Context, c *harness.Client, repo string, d digest.Digest) error {
	res, err := c.Send(ctx, "GET", "/v2/"+repo+"/blobs/"+d.String(), nil, nil, 0)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return discard(res.Body)
}

// TestConformance runs the conformance suites on the repositories that are the mirror's own.
func TestConformance(t *testing.T) {
	o := mirrorOptions(t, `
root: docker.io
local: [conformance/**, conformance1/**]
upstreams: [{name: docker.io, urls: ["http://127.0.0.1:1"]}]
`, harness.Options{})
	harness.Conformance(t, o)
}
