package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/registry/examples/internal/display"
	"github.com/registrykit/registry/storage"
)

// collect removes unreferenced content.
type collect struct {
	at      place
	grace   time.Duration
	history time.Duration
	opts    storage.CollectOptions
}

func (c *collect) flags(f *flag.FlagSet) {
	c.at.storageFlag(f)
	f.DurationVar(&c.grace, "grace", storage.DefaultGrace,
		"Keep unreferenced content for this `time`. It must be the same as for the server, unless nothing is pushed.")
	f.DurationVar(&c.history, "history", 0, "First remove the history that is older than this `time`. 0: remove none.")
	f.BoolVar(&c.opts.Untagged, "untagged", false,
		"Also remove manifests that no tag and no other manifest references. Default: false.")
	f.BoolVar(&c.opts.Exclusive, "exclusive", false,
		"Collect a storage that cannot be collected safely beside other processes, such as a bucket of files. Setting it "+
			"asserts that there are none. Default: false.")
	f.IntVar(&c.opts.Rate, "rate", 0, "Make at most this `number` of requests per second. 0: no limit.")
}

func (c *collect) run(ctx context.Context, p *program, args []string) (err error) {
	if err := none(args); err != nil {
		return err
	}
	if c.grace < 0 || c.history < 0 || c.opts.Rate < 0 {
		return misusef("-grace, -history and -rate must not be negative")
	}
	c.at.opts.Grace, c.at.opts.History = graceOption(c.grace), c.history
	if err := c.at.open(ctx); err != nil {
		return err
	}
	defer func() { err = closing(&c.at, err) }()
	if c.history > 0 && !p.dryRun {
		if _, err := c.at.store.ExpireHistory(ctx); err != nil {
			return err
		}
	}
	c.opts.DryRun = p.dryRun
	c.opts.Progress = func(r storage.CollectReport) {
		p.shown.Show(display.State{Text: fmt.Sprintf("%d repositories, %d blobs, %d requests", r.Repositories, r.Blobs,
			r.Requests)})
	}
	r, err := c.at.store.Collect(ctx, &c.opts)
	if err != nil {
		return err
	}
	return p.result(r, func(w io.Writer) {
		fmt.Fprintf(w, "removed %d blobs, %d data objects of %s, %d manifests, %d uploads, %d repositories; "+
			"found %d repositories, %d manifests, %d blobs; %d requests in %s\n", r.Removed.Blobs, r.Removed.Data,
			display.Size(r.Removed.DataBytes), r.Removed.Untagged+r.Removed.Pending, r.Removed.Uploads,
			r.Removed.Repositories, r.Repositories, r.Manifests, r.Blobs, r.Requests, r.Duration.Round(time.Millisecond))
	})
}
