package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// runs observes the runs of one job in all replicas.
type runs struct {
	mu      sync.Mutex
	now     map[string]context.Context // by replica
	started []time.Time
	overlap int // runs that began while another one had not been told to end
}

// begin records the begin of a run. The caller calls the result at its end.
func (r *runs) begin(ctx context.Context, replica string) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil {
		r.now = map[string]context.Context{}
	}
	for _, other := range r.now {
		if other.Err() == nil {
			r.overlap++
		}
	}
	r.now[replica] = ctx
	r.started = append(r.started, time.Now())
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.now, replica)
	}
}

func (r *runs) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.started)
}

// job returns a job that takes a time, unless it is told to end.
func (r *runs) job(replica string, every, takes time.Duration) jobs.Job {
	return jobs.Job{Name: "work", Every: every, Run: func(ctx context.Context, _ *jobs.Progress) (any, error) {
		defer r.begin(ctx, replica)()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(takes):
			return replica, nil
		}
	}}
}

func newRunner(t *testing.T, d driver.Driver, holder string, list ...jobs.Job) *jobs.Runner {
	t.Helper()
	r, err := jobs.New(d, &jobs.Options{Jobs: list, Holder: holder})
	require.NoError(t, err)
	return r
}

// start runs r until stop is called, which waits for the end.
func start(t *testing.T, r *jobs.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// state returns the state of one job.
func state(t *testing.T, r *jobs.Runner, name string) jobs.State {
	t.Helper()
	list, err := r.List(t.Context())
	require.NoError(t, err)
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no job %s in %v", name, list)
	return jobs.State{}
}

// list is a list that goroutines share.
type list[T any] struct {
	mu    sync.Mutex
	items []T
}

func (l *list[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, v)
}

func (l *list[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items)
}

// pass lets a time pass in a synctest bubble, and everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func newMemory() driver.Driver { return memory.New(nil) }

// put writes an object.
func put(t *testing.T, d driver.Driver, key, content string) {
	t.Helper()
	_, err := d.Put(t.Context(), key, bytes.NewReader([]byte(content)), nil)
	require.NoError(t, err)
}

// fields returns the JSON of a job in the storage.
func fields(t *testing.T, d driver.Driver, key string) map[string]any {
	t.Helper()
	r, _, err := d.Open(t.Context(), key, nil)
	require.NoError(t, err)
	defer r.Close()
	m := map[string]any{}
	require.NoError(t, json.NewDecoder(r).Decode(&m))
	return m
}

// skewed is the storage as a process sees it whose clock is wrong by some time: the times in all
// records differ by that time.
type skewed struct {
	driver.Driver
	by time.Duration
}

func (d skewed) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return driver.Info{}, err
	}
	return d.Driver.Put(ctx, key, bytes.NewReader(shift(b, d.by)), opts)
}

func (d skewed) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	r, info, err := d.Driver.Open(ctx, key, opts)
	if err != nil {
		return nil, info, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return io.NopCloser(bytes.NewReader(shift(b, -d.by))), info, err
}

// shift adds a time to all times of a record.
func shift(b []byte, by time.Duration) []byte {
	m := map[string]any{}
	if json.Unmarshal(b, &m) != nil {
		return b
	}
	shiftIn(m, by)
	out, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return out
}

func shiftIn(m map[string]any, by time.Duration) {
	for k, v := range m {
		switch v := v.(type) {
		case map[string]any:
			shiftIn(v, by)
		case string:
			if at, err := time.Parse(time.RFC3339Nano, v); err == nil && !at.IsZero() {
				m[k] = at.Add(by)
			}
		}
	}
}
