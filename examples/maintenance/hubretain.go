package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/retention"
)

// onHub writes the plan that a hub makes by its own rules.
func (c *plan) onHub(ctx context.Context, p *program) error {
	if c.rules != "" || len(c.immutable) > 0 {
		return misusef("-rules and -immutable are for -storage: a hub plans by its own rules")
	}
	if c.output == "" && !p.dryRun {
		return misusef("-o is required")
	}
	hub, err := c.hub.client(p)
	if err != nil {
		return err
	}
	totals, err := c.write(p, func(w io.Writer) (retention.Totals, error) {
		body, err := hub.RetentionPlan(ctx)
		if err != nil {
			return retention.Totals{}, err
		}
		defer body.Close()
		in := io.TeeReader(body, w)
		_, totals, err := retention.CheckPlan(in)
		if err == nil {
			_, err = io.Copy(io.Discard, in) // what follows the plan, such as a line break
		}
		return totals, err
	})
	if err != nil {
		return hubError(err)
	}
	return c.show(p, totals)
}

// sendPlan is Client.ApplyRetention or Client.UndoRetention.
type sendPlan func(*client.Client, context.Context, io.Reader, bool) (types.RetentionResult, error)

// planToHub sends the plan that args name to a hub, which applies or undoes it.
func planToHub(ctx context.Context, p *program, h *hub, args []string, do sendPlan, done string) error {
	name, err := one(args, "PLAN")
	if err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return misuse{err}
	}
	defer file.Close()
	c, err := h.client(p)
	if err != nil {
		return err
	}
	r, err := do(c, ctx, file, p.dryRun)
	if err != nil {
		return hubError(fmt.Errorf("%s: %w", name, err))
	}
	report := planReport{DryRun: r.DryRun, Result: retention.Result{Repositories: r.Repositories, Tags: r.Tags,
		Manifests: r.Manifests, Already: r.Already, Refused: r.Refused, LeftAlone: r.LeftAlone, Bytes: r.Bytes}}
	for _, f := range r.Refusals {
		line := retention.Line{Repository: f.Repository, Tag: f.Tag, Digest: digest.Digest(f.Digest), Set: f.Set}
		report.refused(retention.Refusal{Line: line, Reason: retention.Reason(f.Reason), Detail: f.Detail})
	}
	if err := p.result(report, func(w io.Writer) { report.write(w, done) }); err != nil {
		return err
	}
	if report.Refused > 0 {
		return errRefused
	}
	return nil
}
