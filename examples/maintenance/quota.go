package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/registrykit/registry/internal/bytesize"
	"github.com/registrykit/registry/quota"
)

// quotas shows what is used of limits.
type quotas struct {
	at      place
	hub     hub
	limits  string
	recount bool
}

func (c *quotas) flags(f *flag.FlagSet) {
	c.at.storageOrHubFlag(f)
	c.hub.flags(f)
	f.StringVar(&c.limits, "quota", "",
		"Read the limits from this YAML `file`, as the server does. Required with -storage.")
	f.BoolVar(&c.recount, "recount", false, "Count anew what is used. Default: false.")
}

func (c *quotas) run(ctx context.Context, p *program, args []string) (err error) {
	if err := c.hub.check(c.at.name); err != nil {
		return err
	}
	if c.hub.used() {
		return c.onHub(ctx, p, args)
	}
	if c.limits == "" {
		return misusef("-quota is required")
	}
	limits, err := quota.Load(c.limits)
	if err != nil {
		return misuse{err}
	}
	if err := c.at.open(ctx); err != nil {
		return err
	}
	defer func() { err = closing(&c.at, err) }()
	q, err := quota.New(c.at.store, c.at.store, c.at.driver, limits, nil)
	if err != nil {
		return err
	}
	if c.recount && !p.dryRun {
		if err := q.RecountAll(ctx); err != nil {
			return err
		}
	}
	states, err := c.states(ctx, q, args)
	if err != nil {
		return err
	}
	return p.result(states, func(w io.Writer) { writeStates(w, states) })
}

// states returns the states of the limits of the given repositories, or of all that were counted.
func (c *quotas) states(ctx context.Context, q *quota.Quotas, repos []string) ([]quota.State, error) {
	states := []quota.State{}
	if len(repos) == 0 {
		for s, err := range q.States(ctx) {
			if err != nil {
				return nil, err
			}
			states = append(states, s)
		}
		return states, nil
	}
	for _, repo := range repos {
		s, err := q.State(ctx, repo)
		if err != nil {
			return nil, err
		}
		states = append(states, s)
	}
	return states, nil
}

// writeStates writes a table.
func writeStates(w io.Writer, states []quota.State) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PREFIX\tBYTES\tREPOSITORIES\tMANIFESTS\tTAGS\tCOUNTED")
	count := func(n int64) string { return fmt.Sprint(n) }
	for _, s := range states {
		of := func(r quota.Resource, format func(int64) string) string {
			return of(s.Used.Of(r), s.Max.Of(r), s.Soft.Of(r), format)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", nameOf(s.Prefix), of(quota.Bytes, bytesize.Format),
			of(quota.Repositories, count), of(quota.Manifests, count), of(quota.Tags, count), s.Counted.Format(time.RFC3339))
	}
	_ = t.Flush() // a closed pipe ends the program anyway
}

// nameOf returns a prefix for people.
func nameOf(prefix string) string {
	if prefix == "" {
		return "(everything)"
	}
	return prefix
}

// of returns a number and its limits. Without one, the number is not counted.
func of(used, limit, soft int64, format func(int64) string) string {
	switch {
	case limit > 0:
		return format(used) + " of " + format(limit)
	case soft > 0:
		return format(used)
	}
	return "-"
}
