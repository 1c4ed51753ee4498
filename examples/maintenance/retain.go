package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/examples/internal/display"
	"github.com/registrykit/registry/filter/glob"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/retention"
)

// plan writes a plan.
type plan struct {
	at            place
	hub           hub
	rules, output string
	immutable     list
	grace         time.Duration
	history       time.Duration
}

func (c *plan) flags(f *flag.FlagSet) {
	c.at.storageOrHubFlag(f)
	c.hub.flags(f)
	f.StringVar(&c.rules, "rules", "",
		"Decide by the retention rules in this YAML `file`; see docs/maintenance.md. Required with -storage.")
	f.StringVar(&c.output, "o", "", "Write the plan to this `file`, or to standard output if it is \"-\". Required.")
	f.Var(&c.immutable, "immutable", "Leave tags alone that match this `pattern`. It must be the same as for the server. "+
		"May be repeated. Default: none.")
	graceFlag(f, &c.grace)
	f.DurationVar(&c.history, "history", defaultHistory,
		"State in the plan that it can be undone for this `time`. It must be the same as for the server. 0: never.")
}

func (c *plan) run(ctx context.Context, p *program, args []string) (err error) {
	if err := none(args); err != nil {
		return err
	}
	if err := c.hub.check(c.at.name); err != nil {
		return err
	}
	if c.hub.used() {
		return c.onHub(ctx, p)
	}
	if c.rules == "" || c.output == "" && !p.dryRun {
		return misusef("-rules and -o are required")
	}
	rules, err := retention.Load(c.rules)
	if err != nil {
		return misuse{err}
	}
	c.at.opts.Grace, c.at.opts.History = graceOption(c.grace), c.history
	if err := c.at.open(ctx); err != nil {
		return err
	}
	defer func() { err = closing(&c.at, err) }()
	planner, err := newPlanner(&c.at, rules, c.immutable, p.dryRun)
	if err != nil {
		return err
	}
	totals, err := c.write(p, func(w io.Writer) (retention.Totals, error) { return planner.Plan(ctx, w) })
	if err != nil {
		return err
	}
	return c.show(p, totals)
}

// show shows the totals of a plan, unless the plan itself is the result.
func (c *plan) show(p *program, totals retention.Totals) error {
	if c.output == "-" && !p.dryRun {
		return nil
	}
	return p.result(totals, func(w io.Writer) {
		fmt.Fprintf(w, "%d of %d tags and %d manifests go, in %d repositories; that frees %s\n", totals.RemovedTags,
			totals.Tags, totals.RemovedManifests, totals.Repositories, display.Size(totals.Bytes))
	})
}

// newPlanner returns a planner that leaves immutable tags alone.
func newPlanner(at *place, rules *retention.Rules, immutable []string, readOnly bool) (*retention.Planner, error) {
	pulls, err := pulltime.New(at.driver, nil)
	if err != nil {
		return nil, err
	}
	opts := &retention.Options{Pulls: pulls, ReadOnly: readOnly}
	if len(immutable) > 0 {
		if opts.Protects, err = glob.Tags(immutable...); err != nil {
			return nil, misusef("-immutable: %w", err)
		}
	}
	return retention.New(at.store, at.driver, rules, opts)
}

// write calls f with a writer for the plan. A file is complete or does not appear.
func (c *plan) write(p *program, f func(w io.Writer) (retention.Totals, error)) (t retention.Totals, err error) {
	switch {
	case p.dryRun:
		return f(io.Discard)
	case c.output == "-":
		p.written = true
		return f(p.out)
	}
	file, err := os.CreateTemp(filepath.Dir(c.output), ".plan-*")
	if err != nil {
		return t, err
	}
	defer func() { _ = os.Remove(file.Name()) }() // it is gone if it was renamed
	if t, err = f(file); err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(file.Name(), c.output)
	}
	return t, err
}

// apply applies a plan.
type apply struct {
	at  place
	hub hub
	who caller
}

func (c *apply) flags(f *flag.FlagSet) {
	c.at.storageOrHubFlag(f)
	c.hub.flags(f)
	c.who.flags(f)
}

func (c *apply) run(ctx context.Context, p *program, args []string) error {
	if err := c.hub.check(c.at.name); err != nil {
		return err
	}
	if c.hub.used() {
		return planToHub(ctx, p, &c.hub, args, (*client.Client).ApplyRetention, "removed")
	}
	if c.who.history == 0 {
		p.warn("without -history, nothing of this can be undone")
	}
	return byPlan(ctx, p, &c.at, &c.who, args, (*retention.Planner).Apply, "removed")
}
