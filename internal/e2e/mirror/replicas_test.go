package mirror

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/stretchr/testify/require"
)

// replicas are two mirrors that share a storage. Each can be killed and starts again at its address.
type replicas struct {
	mu      sync.Mutex
	servers [2]*harness.Server
	options harness.Options
}

func newReplicas(t *testing.T, config string, o harness.Options) *replicas {
	t.Helper()
	r := &replicas{options: mirrorOptions(t, config, o)}
	for i := range r.servers {
		r.start(t, i, "")
	}
	t.Cleanup(func() {
		for _, s := range r.servers {
			require.NoError(t, s.Kill())
		}
	})
	return r
}

func (r *replicas) start(t *testing.T, i int, addr string) {
	o := r.options
	o.Addr = addr
	s, err := harness.Start(o)
	require.NoError(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[i] = s
}

// kill kills a replica with SIGKILL and starts it again.
func (r *replicas) kill(t *testing.T, i int) {
	r.mu.Lock()
	s := r.servers[i]
	r.mu.Unlock()
	require.NoError(t, s.Kill())
	r.start(t, i, s.Addr)
}

// client returns a client that sends each request to one of the replicas.
func (r *replicas) client() *harness.Client {
	c := harness.NewClient("")
	c.Route = func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.servers[rand.IntN(len(r.servers))].URL()
	}
	return c
}

// TestReplicasOnDisk has two mirrors share a folder.
func TestReplicasOnDisk(t *testing.T) {
	dir := t.TempDir()
	replicaStory(t, harness.Options{Storage: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"),
		Args: []string{"-log-level", "warn"}}, size(4, 40))
}

// TestReplicasOnS3 has two mirrors share a bucket.
func TestReplicasOnS3(t *testing.T) {
	program, tool := filepath.Join(t.TempDir(), "bucket"), harness.NewProgram(t, "go")
	tool.Env = nil // with the cache of builds
	tool.Run(t, "build", "-o", program, "./bucket")
	replicaStory(t, harness.Options{Program: program, Bucket: harness.NewMinIO(t),
		Log: filepath.Join(t.TempDir(), "log")}, size(2, 15))
}

// replicaStory pulls through two replicas that are killed in the middle of fills. Every body that ends
// has the right bytes, clients that try again get every image, and at the end the storage has them
// all.
func replicaStory(t *testing.T, o harness.Options, rounds int) {
	clients, length := 6, size(12, 48)<<20
	s := upstreamtest.New(t)
	s.Break(upstreamtest.Match{Method: "GET", Kind: upstreamtest.Blob}, upstreamtest.Slow(256<<10, 8*time.Millisecond))
	r := newReplicas(t, "upstreams: [{name: docker.io, urls: ['"+s.URL+"'], tagTTL: 0s}]", o)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(size(2, 20))*time.Minute)
	defer cancel()
	var blobs []digest.Digest
	kills, gets, failures := 0, 0, 0
	for round := range rounds {
		repo := fmt.Sprintf("library/r%d", round)
		layer := harness.RandomBytes(seed+uint64(round), length)
		s.Image(repo, "v1", layer)
		blobs = append(blobs, digest.FromBytes(layer))
		s.Forget()
		failures += r.pullAll(ctx, t, repo, blobs[round], clients, func(done <-chan struct{}) {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				case <-time.After(time.Duration(30+rng.IntN(600)) * time.Millisecond):
				}
				if i < 2 { // later ones would keep the clients from finishing
					r.kill(t, rng.IntN(2))
					kills++
				}
			}
		})
		gets += s.Count("GET", upstreamtest.Blob)
		for _, q := range s.Requests() {
			if q.Method == "GET" && q.Ref == blobs[round].String() {
				t.Logf("round %d: GET of the blob, range %q", round, q.Header.Get("Range"))
			}
		}
	}
	t.Logf("%d rounds, %d kills, %d failed attempts of clients, %d GET of %d blobs", rounds, kills, failures, gets, rounds)
	require.LessOrEqual(t, gets, rounds+kills, "a kill costs at most one request")
	s.SetDown(true)
	r.requireWhole(ctx, t, blobs)
}

// pullAll has clients pull an image until each has all of it. meanwhile runs beside them. It returns
// the number of attempts that failed.
func (r *replicas) pullAll(ctx context.Context, t *testing.T, repo string, d digest.Digest, clients int,
	meanwhile func(done <-chan struct{})) (failures int) {
	t.Helper()
	var all, beside sync.WaitGroup
	var mu sync.Mutex
	for range clients {
		all.Go(func() {
			c := r.client()
			for ctx.Err() == nil {
				err := pullImage(ctx, c, "docker.io/"+repo, d)
				if err == nil {
					return
				}
				if strings.Contains(err.Error(), "another digest") {
					t.Errorf("a body that ended is wrong: %v", err)
				}
				mu.Lock()
				failures++
				mu.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("a client has not got %s", repo)
		})
	}
	done := make(chan struct{})
	beside.Go(func() { meanwhile(done) })
	all.Wait()
	close(done)
	beside.Wait()
	return failures
}

func pullImage(ctx context.Context, c *harness.Client, repo string, d digest.Digest) error {
	if _, err := c.Do(ctx, http.StatusOK, http.MethodGet, "/v2/"+repo+"/manifests/v1", harness.Accept(), nil); err != nil {
		return err
	}
	return c.PullBlob(ctx, repo, d)
}

// requireWhole requires every blob of both replicas, and of a registry that knows no mirrors.
func (r *replicas) requireWhole(ctx context.Context, t *testing.T, blobs []digest.Digest) {
	t.Helper()
	plain := harness.New(t, harness.Options{Kind: harness.Ours, Storage: r.options.Storage, Bucket: r.options.Bucket})
	for _, base := range []string{r.servers[0].URL(), r.servers[1].URL(), plain.URL()} {
		c := harness.NewClient(base)
		for round, d := range blobs {
			require.NoError(t, pullImage(ctx, c, fmt.Sprintf("docker.io/library/r%d", round), d))
		}
	}
}
