package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/registrykit/registry/examples/internal/display"
	"github.com/registrykit/registry/internal/bytesize"
	"github.com/registrykit/registry/scrub"
)

// scrubs checks everything in a storage.
type scrubs struct {
	at     place
	opts   scrub.Options
	losses bool
}

func (c *scrubs) flags(f *flag.FlagSet) {
	c.at.storageFlag(f)
	f.BoolVar(&c.opts.Repair, "repair", false,
		"Repair what can be repaired, and quarantine corrupt blobs. Default: false, only report.")
	f.Func("rate", "Read at most this number of `bytes` per second, such as 50MB. Default: no limit.",
		func(text string) (err error) {
			c.opts.Rate, err = bytesize.Parse(text)
			return err
		})
	f.IntVar(&c.opts.Requests, "requests", 0, "Make at most this `number` of requests per second. 0: no limit.")
	f.BoolVar(&c.opts.Restart, "restart", false,
		"Begin from the start, although an earlier run was interrupted. Default: false, go on with it.")
	f.BoolVar(&c.opts.Exclusive, "exclusive", false,
		"Repair a storage that cannot be repaired safely beside other processes, such as a bucket of files. Setting it "+
			"asserts that there are none. Default: false.")
	f.BoolVar(&c.losses, "losses", false,
		"Check nothing, and list what is quarantined or missing and was not pushed again. Default: false.")
}

func (c *scrubs) run(ctx context.Context, p *program, args []string) (err error) {
	if err := none(args); err != nil {
		return err
	}
	if c.opts.Requests < 0 {
		return misusef("-requests must not be negative")
	}
	if err := c.at.open(ctx); err != nil {
		return err
	}
	defer func() { err = closing(&c.at, err) }()
	if c.losses {
		return c.listLosses(ctx, p)
	}
	c.opts.Repair, c.opts.ReadOnly = c.opts.Repair && !p.dryRun, p.dryRun
	c.opts.Progress = func(r scrub.Report) {
		p.shown.Show(display.State{Done: r.Bytes, Total: r.BytesTotal, Bytes: true,
			Text: fmt.Sprintf("%s: %d blobs, %d manifests, %d damaged", r.Stage, r.Blobs, r.Manifests, r.Damaged)})
	}
	r, err := scrub.Run(ctx, c.at.store, c.at.driver, &c.opts)
	if r == nil {
		return err
	}
	rerr := p.result(r, func(w io.Writer) { writeScrub(w, r) })
	if err == nil {
		err = rerr
	}
	if err == nil && !r.Whole() {
		err = errDamaged
	}
	return err
}

// writeScrub writes what a scrub has found.
func writeScrub(w io.Writer, r *scrub.Report) {
	fmt.Fprintf(w, "%d damaged, %d repaired, %d quarantined, %d lost; checked %d repositories, %d tags, %d manifests, "+
		"%d blobs, %s\n", r.Damaged, r.Repaired, r.Quarantined, r.Lost, r.Repositories, r.Tags, r.Manifests, r.Blobs,
		display.Size(r.Bytes))
	for _, f := range r.Findings {
		name := f.Repository
		if f.Tag != "" {
			name += ":" + f.Tag
		}
		repair := f.Repair
		if repair == "" {
			repair = "left as it is"
		}
		fmt.Fprintf(w, "%s %s %s: %s (%s)\n", f.Kind, name, f.Digest, f.Found, repair)
	}
	for _, e := range r.Errors {
		fmt.Fprintln(w, "error:", e)
	}
}

// listLosses lists what is lost.
func (c *scrubs) listLosses(ctx context.Context, p *program) error {
	losses := []scrub.Loss{}
	for l, err := range scrub.Losses(ctx, c.at.driver) {
		if err != nil {
			return err
		}
		losses = append(losses, l)
	}
	err := p.result(losses, func(w io.Writer) {
		for _, l := range losses {
			fmt.Fprintln(w, l.Repository, l.Digest)
		}
		fmt.Fprintf(w, "%d lost\n", len(losses))
	})
	if err == nil && len(losses) > 0 {
		err = errDamaged
	}
	return err
}
