package serve

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/examples/internal/work"
	"github.com/registrykit/registry/internal/bytesize"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/usage"
)

// housekeeping holds the flags for quotas, retention, usage and scrubs.
type housekeeping struct {
	quota, retain                       string
	retainEvery, usageEvery, scrubEvery time.Duration
	scrubRate                           int64
	scrubRepair                         bool
	pullTimes                           bool
	notPulls                            []string // users

	limits *quota.Limits    // set by check, or nil
	rules  *retention.Rules // set by check, or nil
}

func (h *housekeeping) flags() {
	flag.StringVar(&h.quota, "quota", "",
		"Limit the bytes and numbers of repositories by this YAML `file`; see docs/maintenance.md. Default: no limits.")
	flag.StringVar(&h.retain, "retain", "",
		"Remove old images by the rules in this YAML `file`; see docs/maintenance.md. Default: nothing is removed.")
	flag.DurationVar(&h.retainEvery, "retain-every", 24*time.Hour, "Apply -retain again after this `time`.")
	flag.BoolVar(&h.pullTimes, "pull-times", false,
		"Record when manifests and tags are pulled. With -retain, they are recorded if a rule needs them. Default: false.")
	flag.Func("pull-times-except", "Pulls by this `user` do not count, such as a scanner or a mirror. May be repeated. "+
		"Default: all pulls count.", func(user string) error {
		if user == "" {
			return errors.New("the name of a user is required")
		}
		h.notPulls = append(h.notPulls, user)
		return nil
	})
	flag.DurationVar(&h.usageEvery, "usage-every", 0, "Count what repositories hold again after this `time`. 0: never.")
	flag.DurationVar(&h.scrubEvery, "scrub-every", 0,
		"Read and check everything that is stored again after this `time`. 0: never.")
	flag.Func("scrub-rate", "Read at most this number of `bytes` per second in a scrub, such as 50MB. Default: no limit.",
		func(text string) (err error) {
			h.scrubRate, err = bytesize.Parse(text)
			return err
		})
	flag.BoolVar(&h.scrubRepair, "scrub-repair", false,
		"Repair what a scrub can repair, and quarantine corrupt blobs. Default: false, a scrub only reports.")
}

// check reads the files.
func (h *housekeeping) check() (err error) {
	if h.usageEvery < 0 || h.scrubEvery < 0 {
		return errors.New("-usage-every and -scrub-every must not be negative")
	}
	if h.retain != "" {
		if err := positive("-retain-every", h.retainEvery); err != nil {
			return err
		}
		if h.rules, err = retention.Load(h.retain); err != nil {
			return fmt.Errorf("-retain: %w", err)
		}
	}
	if h.quota != "" {
		if h.limits, err = quota.Load(h.quota); err != nil {
			return fmt.Errorf("-quota: %w", err)
		}
	}
	return nil
}

// kept is what housekeeping needs of a server.
type kept struct {
	driver    driver.Driver
	store     *storage.Store
	backend   registry.Backend // what the registry serves, without access control
	immutable []string
	history   time.Duration
	sink      notification.Sink
	pulls     *pulltime.Recorder // or nil
	quotas    *quota.Quotas      // or nil
	log       *slog.Logger
}

// limit returns the backend with the limits of -quota, and the quotas, or nil without the flag.
func (h *housekeeping) limit(b registry.Backend, store *storage.Store, d driver.Driver, sink notification.Sink,
	log *slog.Logger) (registry.Backend, *quota.Quotas, error) {
	if h.limits == nil {
		return b, nil, nil
	}
	q, err := quota.New(b, store, d, h.limits, work.QuotaOptions(sink, log))
	return q, q, err
}

// recorder returns what records pulls, or nil. Without a recorder, retention.New refuses rules about
// pulls.
func (h *housekeeping) recorder(store *storage.Store, d driver.Driver) (*pulltime.Recorder, error) {
	needed := h.pullTimes
	if h.rules != nil && !needed {
		_, err := retention.New(store, d, h.rules, nil)
		needed = err != nil
	}
	if !needed {
		return nil, nil
	}
	return pulltime.New(d, nil)
}

// jobs returns the jobs of the flags.
func (h *housekeeping) jobs(k *kept) ([]jobs.Job, error) {
	var all []jobs.Job
	if h.rules != nil {
		job, err := h.retention(k)
		if err != nil {
			return nil, err
		}
		all = append(all, job)
	}
	if h.usageEvery > 0 {
		meter, err := usage.New(k.store, k.driver, nil)
		if err != nil {
			return nil, err
		}
		job := meter.Job(h.usageEvery)
		job.Done = work.Logged(job.Name, job.Done, k.log)
		all = append(all, job)
	}
	if h.scrubEvery > 0 {
		job := scrub.Job(h.scrubEvery, k.store, k.driver, &scrub.Options{Repair: h.scrubRepair, Rate: h.scrubRate})
		job.Done = work.Logged(job.Name, job.Done, k.log)
		all = append(all, job)
	}
	return all, nil
}

// retention returns the job that applies the rules.
func (h *housekeeping) retention(k *kept) (jobs.Job, error) {
	if k.history == 0 {
		k.log.Warn("-retain without -history: what it removes cannot be restored")
	}
	planner, err := work.Planner(k.store, k.driver, h.rules, k.pulls, k.immutable)
	if err != nil {
		return jobs.Job{}, fmt.Errorf("-retain: %w", err)
	}
	return work.Retention(planner, h.retainEvery, k.backend, k.sink, k.log)
}
