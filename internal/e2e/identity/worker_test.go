package identity

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// refusal is what clients say if they may not do something.
var refusal = regexp.MustCompile(`(?i)unauthorized|denied|authentication required|not authorized|401|403|` +
	`insufficient_scope|authorization failed|invalid username/password`)

// worker is a client that does the same again and again.
type worker struct {
	name    string
	client  *harness.LoginClient
	connect func(t *testing.T, addr string)                 // sets client
	before  func(t *testing.T, client *harness.LoginClient) // called before each step, unless nil
	steps   []step
	pause   time.Duration // between two steps

	mu        sync.Mutex
	works     bool      // what should happen
	settled   time.Time // from when on, or the zero Time for not yet
	disturbed int       // counts kills of replicas
	judged    map[string]int
	wrong     []string
}

// step is a command of a client.
type step struct {
	name string
	run  func(t *testing.T) (said string, err error)
}

// run does the steps until stop is closed.
func (w *worker) run(t *testing.T, stop <-chan struct{}) {
	for {
		for _, s := range w.steps {
			if w.before != nil {
				w.before(t, w.client)
			}
			w.mu.Lock()
			settled, works, disturbed := w.settled, w.works, w.disturbed
			w.mu.Unlock()
			began := time.Now()
			said, err := s.run(t)
			w.judge(s.name, began, settled, works, disturbed, said, err)
			select {
			case <-stop:
				return
			case <-time.After(w.pause):
			}
		}
	}
}

// judge compares the result of a step with what should have happened. It must be as it should if the step began
// after that was settled, and nothing has changed meanwhile. A replica that is killed may only make steps fail.
func (w *worker) judge(name string, began, settled time.Time, works bool, disturbed int, said string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case settled.IsZero() || began.Before(settled) || settled != w.settled:
	case err == nil && works, err != nil && !works && refusal.MatchString(said):
		w.judged[fmt.Sprintf("%s %t", name, works)]++
	case err != nil && disturbed != w.disturbed:
	default:
		w.wrong = append(w.wrong, fmt.Sprintf("%s %s at %s, %s after it was settled: should work: %t, error: %v\n%s", w.name,
			name, began.Format(time.TimeOnly), began.Sub(settled).Round(time.Millisecond), works, err, said))
	}
}

// expect says what should happen after the effect of a change.
func (w *worker) expect(works bool, change func()) {
	w.mu.Lock()
	w.settled = time.Time{}
	w.mu.Unlock()
	change()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.works, w.settled, w.judged = works, time.Now().Add(within), map[string]int{}
}

// done reports whether each step was judged n times since the last change.
func (w *worker) done(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.steps {
		if w.judged[fmt.Sprintf("%s %t", s.name, w.works)] < n {
			return false
		}
	}
	return true
}

// workers are all clients of a walk.
type workers struct {
	list []*worker
	all  map[string]int // steps that were judged, over the whole walk
}

// ends makes a change after which a worker is refused.
func (a *workers) ends(name string, change func()) { a.find(name).expect(false, change) }

// begins makes a change after which a worker succeeds.
func (a *workers) begins(name string, change func()) { a.find(name).expect(true, change) }

func (a *workers) find(name string) *worker {
	return a.list[slices.IndexFunc(a.list, func(w *worker) bool { return w.name == name })]
}

// disturb kills replicas: steps that are running may fail.
func (a *workers) disturb(kill func()) {
	count := func() {
		for _, w := range a.list {
			w.mu.Lock()
			w.disturbed++
			w.mu.Unlock()
		}
	}
	count()
	kill()
	count()
}

// start starts all workers. The returned function stops them and requires that nothing was wrong.
func (a *workers) start(t *testing.T) (stop func()) {
	t.Helper()
	end := make(chan struct{})
	var wg sync.WaitGroup
	for _, w := range a.list {
		w.works, w.settled, w.judged = true, time.Now(), map[string]int{}
		wg.Go(func() { w.run(t, end) })
	}
	ended := sync.OnceFunc(func() {
		close(end)
		wg.Wait()
	})
	t.Cleanup(ended)
	return func() {
		ended()
		a.requireRight(t)
	}
}

// settle waits until each step of each worker was judged n times.
func (a *workers) settle(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		a.requireRight(t)
		missing := slices.DeleteFunc(slices.Clone(a.list), func(w *worker) bool { return w.done(n) })
		if len(missing) == 0 {
			break
		}
		require.True(t, time.Now().Before(deadline), "%s has not done its steps: %v", missing[0].name, missing[0].judged)
	}
	for _, w := range a.list {
		w.mu.Lock()
		for name, n := range w.judged {
			a.all[w.name+" "+name] += n
		}
		w.judged = map[string]int{}
		w.mu.Unlock()
	}
}

func (a *workers) requireRight(t *testing.T) {
	t.Helper()
	for _, w := range a.list {
		w.mu.Lock()
		wrong := strings.Join(w.wrong, "\n")
		w.mu.Unlock()
		require.Empty(t, wrong)
	}
}

// String returns how often what was judged.
func (a *workers) String() string {
	var lines []string
	for name, n := range a.all {
		lines = append(lines, fmt.Sprintf("%s: %d", name, n))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// newWorkers returns a worker for each client.
func newWorkers(t *testing.T, s *site, p *people) *workers {
	t.Helper()
	s.setSecret(p.robot)
	a := &workers{all: map[string]int{}}
	a.add("docker", harness.DockerLogin, "ann", annPassword, "acme/docker/app")
	a.add("podman", harness.PodmanLogin, "acme+podman", p.robot, "acme/podman/app")
	a.add("skopeo", harness.SkopeoLogin, "bob", bobPassword, "acme/skopeo/app")
	a.add("containerd", harness.ContainerdLogin, "carl", carlPassword, "acme/guests/app")
	a.add("job", harness.CraneLogin, "job", s.job(t), "acme/app/web")
	a.add("anonymous", harness.CraneLogin, "", "", "acme/public")
	if *full {
		a.add("helm", harness.HelmLogin, "hal", p.hal, "acme/charts/web")
	}
	a.connect(t, s.Addr)
	a.find("podman").before = s.newLogin
	a.find("job").before = func(t *testing.T, c *harness.LoginClient) { ok(t)(c.Login(t, "job", s.job(t))) }
	a.find("anonymous").steps = a.find("anonymous").steps[1:] // it only pulls
	// Wrong passwords count, and those of a disabled user do.
	a.find("skopeo").pause = 3 * time.Second
	return a
}

// add adds a client that logs in and then pushes to a repository and pulls from it.
func (a *workers) add(name string, connect func(*testing.T, string) *harness.LoginClient, user, secret, repo string) {
	w := &worker{name: name, pause: time.Second}
	w.connect = func(t *testing.T, addr string) {
		w.client = connect(t, addr)
		if user != "" {
			ok(t)(w.client.Login(t, user, secret))
		}
	}
	w.steps = []step{
		{"push", func(t *testing.T) (string, error) { return w.client.Push(t, repo) }},
		{"pull", func(t *testing.T) (string, error) { return w.client.Pull(t, repo) }},
	}
	a.list = append(a.list, w)
}

// connect starts all clients and logs them in.
func (a *workers) connect(t *testing.T, addr string) {
	t.Helper()
	var wg sync.WaitGroup
	for _, w := range a.list {
		wg.Go(func() { w.connect(t, addr) })
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
