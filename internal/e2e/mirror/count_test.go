package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// ttl is the time for which both mirrors of TestCounts are to serve a tag without asking.
const ttl = 2 * time.Second

// step is a step of TestCounts.
type step struct {
	name  string
	image string
	// clients pull the image at the same time.
	clients int
	// after is the time before.
	after time.Duration
	// want are the requests that our mirror may send: HEAD and GET of manifests, HEAD and GET of blobs.
	want [4]int
}

var steps = []step{
	{"cold pull", "one", 1, 0, [4]int{1, 1, 0, blobsOfImage}},
	{"warm pull within the TTL of the tag", "one", 1, 0, [4]int{0, 0, 0, 0}},
	{"50 warm pulls at once, after the TTL", "one", 50, ttl + 500*time.Millisecond, [4]int{1, 0, 0, 0}},
	{"50 cold pulls at once", "two", 50, 0, [4]int{1, 1, 0, blobsOfImage}},
}

// TestCounts counts the requests at an upstream for the same pulls through our mirror and, in the long
// form, through distribution as a cache.
func TestCounts(t *testing.T) {
	p := newPlace(t, upstreamKinds()[len(upstreamKinds())-1])
	for _, image := range []string{"one", "two"} {
		p.push(t, "library/"+image+":v1")
	}
	ours := newMirror(t, fmt.Sprintf("upstreams: [{name: docker.io, urls: ['http://%s'], tagTTL: %v}]", p.seen.Addr, ttl),
		harness.Options{})
	table := map[string][][4]int{"mirror": counts(t, p, ours, "docker.io/library/")}
	for i, s := range steps {
		got := table["mirror"][i]
		for j := range got {
			require.LessOrEqual(t, got[j], s.want[j], "%s: %v instead of %v", s.name, got, s.want)
		}
	}
	if *full {
		dir := t.TempDir()
		peer := harness.New(t, harness.Options{Kind: harness.Peer, Storage: filepath.Join(dir, "data"),
			Upstream: "http://" + p.seen.Addr})
		table["distribution"] = counts(t, p, peer, "library/")
	}
	out := "HEAD manifest, GET manifest, HEAD blob, GET blob\n| step |"
	names := []string{"mirror", "distribution"}[:len(table)]
	for _, name := range names {
		out += " " + name + " |"
	}
	out += "\n|---|" + strings.Repeat("---|", len(names)) + "\n"
	for i, s := range steps {
		out += "| " + s.name + " |"
		for _, name := range names {
			n := table[name][i]
			out += fmt.Sprintf(" %d, %d, %d, %d |", n[0], n[1], n[2], n[3])
		}
		out += "\n"
	}
	t.Logf("%s", out)
}

// counts returns the requests of each step.
func counts(t *testing.T, p *place, through *harness.Server, prefix string) (all [][4]int) {
	t.Helper()
	for _, s := range steps {
		time.Sleep(s.after)
		p.seen.Forget()
		var wg sync.WaitGroup
		errs := make(chan error, s.clients)
		for range s.clients {
			wg.Go(func() { errs <- pullAsContainerd(t.Context(), harness.NewClient(through.URL()), prefix+s.image) })
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		time.Sleep(300 * time.Millisecond) // requests that nobody waits for
		all = append(all, [4]int{p.seen.Count(`^HEAD .*/manifests/`), p.seen.Count(`^GET .*/manifests/`),
			p.seen.Count(`^HEAD .*/blobs/`), p.seen.Count(`^GET .*/blobs/`)})
	}
	return all
}

// pullAsContainerd pulls an image in the way of containerd: HEAD of the tag, GET by digest, blobs.
func pullAsContainerd(ctx context.Context, c *harness.Client, repo string) error {
	head, err := c.Do(ctx, http.StatusOK, http.MethodHead, "/v2/"+repo+"/manifests/v1", harness.Accept(), nil)
	if err != nil {
		return err
	}
	r, err := c.Do(ctx, http.StatusOK, http.MethodGet, "/v2/"+repo+"/manifests/"+head.Header.Get("Docker-Content-Digest"),
		harness.Accept(), nil)
	if err != nil {
		return err
	}
	var m imagespec.Manifest
	if err := json.Unmarshal(r.Body, &m); err != nil {
		return err
	}
	for _, d := range append(m.Layers, m.Config) {
		if err := c.PullBlob(ctx, repo, d.Digest); err != nil {
			return err
		}
	}
	return nil
}
