package pulltime

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
)

// Defaults of [Options].
const (
	DefaultInterval   = 3 * time.Minute
	DefaultMaxPending = 100_000
	DefaultMaxWrites  = 100
	DefaultMaxObject  = 256 << 10
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Interval is the time between two writes by [Recorder.Run], and so about the time that a killed
	// process loses. Default: DefaultInterval, three minutes. A negative value is an error.
	Interval time.Duration
	// MaxPending is the maximum number of manifests and tags whose pulls are in memory. Pulls of
	// further ones are dropped until the next write, see [Recorder.Dropped]. Run writes early when
	// half of it is used. Default: DefaultMaxPending, 100,000. A negative value is an error.
	MaxPending int
	// MaxWrites is the maximum number of repositories that Run writes in one Interval. The
	// repositories that have waited longest come first. Default: DefaultMaxWrites, 100. A negative
	// value is an error.
	MaxWrites int
	// MaxObject is the maximum size of an object in bytes. A manifest takes about 90 bytes.
	// Default: DefaultMaxObject, 256 KiB, or the maximum of the driver if that is smaller. A value
	// below 1 KiB is an error.
	MaxObject int
	// Replica names this process among all that write to the storage. Processes with the same name
	// share their objects, which is safe. A name should survive a restart, so that the number of
	// objects does not grow. Default: the name of the host.
	Replica string
}

// Recorder records and reads pull times. It is safe for concurrent use.
type Recorder struct {
	driver  driver.Driver
	opts    Options
	replica string        // the last component of the keys of this process
	early   chan struct{} // has an element if pending is half full

	mu      sync.RWMutex
	pending map[string]pulls // by repository
	size    int              // the number of times in pending
	dropped atomic.Int64

	writing chan struct{}        // holds an element while Flush or Forget runs, which use the rest
	waiting map[string]int       // by repository of pending: how many writes it has waited for
	looked  map[string]time.Time // by repository: when objects of dead replicas were last looked for
}

// pulls are the times of a repository that are not written yet, in seconds since 1970. The keys are
// digests, which have a colon, and tags, which have none.
type pulls map[string]*atomic.Int64

// New returns a Recorder that stores pull times in d, the driver of the registry. It makes no
// request and starts nothing, see [Recorder.Run]. opts may be nil.
//
// Errors: an error for an invalid option.
func New(d driver.Driver, opts *Options) (*Recorder, error) {
	if d == nil {
		return nil, errors.New("pulltime: no driver")
	}
	o := options.Value(opts)
	options.Default(&o.Interval, DefaultInterval)
	options.Default(&o.MaxPending, DefaultMaxPending)
	options.Default(&o.MaxWrites, DefaultMaxWrites)
	options.Default(&o.MaxObject, DefaultMaxObject)
	if o.Interval < 0 || o.MaxPending < 0 || o.MaxWrites < 0 || o.MaxObject < 1<<10 {
		return nil, errors.New("pulltime: an option is negative, or MaxObject is less than 1 KiB")
	}
	if limit := d.MaxObjectSize(); limit > 0 {
		o.MaxObject = int(min(int64(o.MaxObject), limit))
	}
	if o.Replica == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		o.Replica = host
	}
	name := sha256.Sum256([]byte(o.Replica)) // any text becomes a valid part of a key
	return &Recorder{
		driver: d, opts: o, replica: hex.EncodeToString(name[:8]), early: make(chan struct{}, 1),
		writing: make(chan struct{}, 1),
		pending: map[string]pulls{}, waiting: map[string]int{}, looked: map[string]time.Time{},
	}, nil
}

// Pulled records that the manifest d of a repository was pulled now, by the tag unless tag is "".
// It makes no request. The arguments must be valid; they are not checked.
func (r *Recorder) Pulled(repo string, d digest.Digest, tag string) {
	now := time.Now().Unix()
	if r.again(repo, string(d), tag, now) {
		return
	}
	for _, ref := range [...]string{string(d), tag} {
		if ref != "" {
			r.add(repo, ref, now)
		}
	}
}

// again notes a further pull of a manifest and a tag, either of which may be "". It reports whether
// no pull of them is the first one since the last write.
func (r *Recorder) again(repo, manifest, tag string, now int64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	known := r.pending[repo]
	for _, ref := range [...]string{manifest, tag} {
		if ref == "" {
			continue
		}
		at := known[ref]
		if at == nil {
			return false
		}
		if at.Load() < now {
			at.Store(now) // a concurrent call may store an earlier time, by less than the resolution
		}
	}
	return true
}

// add notes a pull, or drops it if there are too many.
func (r *Recorder) add(repo, ref string, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.pending[repo][ref]; at != nil {
		at.Store(max(at.Load(), now))
		return
	}
	if r.size >= r.opts.MaxPending {
		r.dropped.Add(1)
		return
	}
	p := r.pending[repo]
	if p == nil {
		p = pulls{}
		r.pending[strings.Clone(repo)] = p // a part of the text of a request would keep all of it
	}
	at := &atomic.Int64{}
	at.Store(now)
	p[strings.Clone(ref)] = at
	r.size++
	if r.size > r.opts.MaxPending/2 {
		select {
		case r.early <- struct{}{}:
		default:
		}
	}
}

// Dropped returns the number of pulls since New that were not recorded, because too many different
// manifests and tags were pulled between two writes.
func (r *Recorder) Dropped() int64 { return r.dropped.Load() }
