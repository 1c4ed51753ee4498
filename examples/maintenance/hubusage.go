package main

import (
	"context"
	"io"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/usage"
)

// onHub shows the usage that a hub has counted.
func (c *usages) onHub(ctx context.Context, p *program, prefix string) error {
	if c.count {
		return misusef("-count is for -storage: use jobs run %s", usage.JobName)
	}
	hub, err := c.hub.client(p)
	if err != nil {
		return err
	}
	u, err := hub.Usage(ctx, prefix)
	if err != nil {
		return hubError(err)
	}
	reports := []usage.Report{reportOf(u)}
	if c.days {
		reports = []usage.Report{}
		for _, day := range u.History {
			reports = append(reports, usage.Report{Prefix: u.Prefix, Repository: u.Repository, Figures: figuresOf(day.Figures),
				Counted: day.Counted})
		}
	}
	if c.list {
		for u, err := range hub.UsageBelow(ctx, prefix) {
			if err != nil {
				return hubError(err)
			}
			reports = append(reports, reportOf(u))
		}
	}
	return p.result(reports, func(w io.Writer) { writeReports(w, reports) })
}

func reportOf(u types.Usage) usage.Report {
	return usage.Report{Prefix: u.Prefix, Repository: u.Repository, Children: u.Children, Figures: figuresOf(u.Figures),
		Counted: u.Counted}
}

func figuresOf(f types.Figures) usage.Figures {
	v := usage.Figures{Repositories: f.Repositories, Tags: f.Tags, Manifests: f.Manifests, Blobs: f.Blobs,
		Logical: f.Logical, Repeated: f.Repeated, Physical: f.Physical, Unreferenced: f.Unreferenced}
	if f.Exclusive != nil {
		v.Exclusive = *f.Exclusive
	}
	return v
}

// onHub shows what is used of the limits of a hub.
func (c *quotas) onHub(ctx context.Context, p *program, prefixes []string) error {
	if c.limits != "" {
		return misusef("-quota is for -storage: a hub has its own limits")
	}
	hub, err := c.hub.client(p)
	if err != nil {
		return err
	}
	states := []quota.State{}
	if len(prefixes) == 0 {
		for q, err := range hub.Quotas(ctx) {
			if err != nil {
				return hubError(err)
			}
			states = append(states, stateOf(q))
		}
		prefixes = prefixesOf(states, c.recount && !p.dryRun)
		if len(prefixes) > 0 {
			states = states[:0]
		}
	}
	for _, prefix := range prefixes {
		read := hub.Quota
		if c.recount && !p.dryRun {
			read = hub.Recount
		}
		q, err := read(ctx, prefix)
		if err != nil {
			return hubError(err)
		}
		states = append(states, stateOf(q))
	}
	return p.result(states, func(w io.Writer) { writeStates(w, states) })
}

// prefixesOf returns the prefixes of states if they are to be counted again.
func prefixesOf(states []quota.State, recount bool) []string {
	var prefixes []string
	for _, s := range states {
		if recount {
			prefixes = append(prefixes, s.Prefix)
		}
	}
	return prefixes
}

func stateOf(q types.Quota) quota.State {
	return quota.State{Prefix: q.Prefix, Used: quota.Amounts(q.Used), Pending: quota.Amounts(q.Pending),
		Max: quota.Amounts(q.Max), Soft: quota.Amounts(q.Soft), Counted: q.Counted}
}
