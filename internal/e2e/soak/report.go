package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// report records the operations and observations of a soak.
type report struct {
	config config

	mu       sync.Mutex
	ops      int
	counts   map[string]int // operations by kind
	events   map[string]int // other events: refusals, retries, kills and so on
	longest  time.Duration  // the longest push
	took     time.Duration
	failures []string
	spaces   []space // content of the storage at several times, in order
}

func newReport(c config) *report {
	return &report{config: c, counts: map[string]int{}, events: map[string]int{}}
}

// These constants are the events of a soak. All but refused make it fail.
const (
	lost  = "lost"
	stuck = "stuck"
	wrong = "wrong answers"
	left  = "left in storage"
	// refused counts pushes that had to send content again. This may happen without a grace period.
	// refusedTwice counts pushes for which sending the content again did not help.
	refused      = "pushes refused"
	refusedTwice = "pushes refused twice in a row"
)

// op counts an operation, and reports whether another one may run.
func (r *report) op(kind string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.config.ops > 0 && r.ops >= r.config.ops || len(r.failures) >= maxFailures {
		return false
	}
	r.ops++
	r.counts[kind]++
	return true
}

// maxFailures is the number of failures after which a soak stops. Later failures are often
// consequences of earlier ones.
const maxFailures = 5

func (r *report) event(kind string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[kind] += n
}

func (r *report) fail(kind, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[kind]++
	r.failures = append(r.failures, kind+": "+message)
}

// push records the duration of a push.
func (r *report) push(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.longest = max(r.longest, d)
}

// err returns an error with the number of failures and the first of them.
func (r *report) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) > 0 {
		return fmt.Errorf("seed %d: %d failures; the first is\n%s", r.config.seed, len(r.failures), r.failures[0])
	}
	return nil
}

// String returns the table.
func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "soak: %s, seed %d, grace %v, untagged %v, %d workers: ",
		r.config.storage, r.config.seed, r.config.grace, r.config.untagged, r.config.workers)
	fmt.Fprintf(&b, "%d operations in %.0f s, %.0f/s; longest push %.1f s\n",
		r.ops, r.took.Seconds(), float64(r.ops)/r.took.Seconds(), r.longest.Seconds())
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, kind := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Fprintf(w, "  %s\t%d\t\n", kind, r.counts[kind])
	}
	fmt.Fprintln(w, "\t\t")
	for _, kind := range []string{lost, stuck, wrong, left, refused, refusedTwice} {
		fmt.Fprintf(w, "  %s\t%d\t\n", kind, r.events[kind])
	}
	for _, kind := range slices.Sorted(maps.Keys(r.events)) {
		if !slices.Contains([]string{lost, stuck, wrong, left, refused, refusedTwice}, kind) {
			fmt.Fprintf(w, "  %s\t%d\t\n", kind, r.events[kind])
		}
	}
	_ = w.Flush()
	fmt.Fprintln(&b)
	w = tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "storage\t%s\tall keys\tbytes\tof them data\tfiles or objects\tbytes\t\n", strings.Join(prefixes, "\t"))
	for _, s := range r.spaces {
		fmt.Fprintf(w, "%s\t", s.when)
		for _, p := range prefixes {
			fmt.Fprintf(w, "%d\t", s.keys[p])
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t\n", s.total, s.bytes, s.data, s.raw, s.rawBytes)
	}
	_ = w.Flush()
	for _, f := range r.failures {
		fmt.Fprintf(&b, "\n%s\n", f)
	}
	return b.String()
}
