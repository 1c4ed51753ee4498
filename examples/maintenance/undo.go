package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/examples/internal/display"
	"github.com/registrykit/registry/retention"
)

// undo restores what was removed by a plan.
type undo struct {
	at  place
	hub hub
	who caller
}

func (c *undo) flags(f *flag.FlagSet) {
	c.at.storageOrHubFlag(f)
	c.hub.flags(f)
	c.who.flags(f)
}

func (c *undo) run(ctx context.Context, p *program, args []string) error {
	if err := c.hub.check(c.at.name); err != nil {
		return err
	}
	if c.hub.used() {
		return planToHub(ctx, p, &c.hub, args, (*client.Client).UndoRetention, "restored")
	}
	if c.who.history == 0 {
		return misusef("-history 0: only what the history has can be restored")
	}
	return byPlan(ctx, p, &c.at, &c.who, args, (*retention.Planner).Undo, "restored")
}

// execute is the type of Planner.Apply and Planner.Undo.
type execute func(*retention.Planner, context.Context, registry.Backend, io.Reader, *retention.ApplyOptions) (
	retention.Result, error)

// byPlan applies or undoes the plan that args names.
func byPlan(ctx context.Context, p *program, at *place, who *caller, args []string, do execute,
	done string) (err error) {
	name, err := one(args, "PLAN")
	if err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return misuse{err}
	}
	defer file.Close()
	at.opts.History, at.opts.Grace = who.history, graceOption(who.grace)
	if err := at.open(ctx); err != nil {
		return err
	}
	defer func() { err = closing(at, err) }()
	b, err := who.backend(at.store)
	if err != nil {
		return err
	}
	planner, err := newPlanner(at, &retention.Rules{}, who.immutable, p.dryRun) // the rules are those of the plan
	if err != nil {
		return err
	}
	report := planReport{DryRun: p.dryRun}
	report.Result, err = do(planner, ctx, b, file, &retention.ApplyOptions{DryRun: p.dryRun,
		Refused: report.refused,
		Progress: func(r retention.Result) {
			p.shown.Show(display.State{Text: fmt.Sprintf("%d tags, %d manifests %s, %d refused", r.Tags, r.Manifests, done,
				r.Refused)})
		}})
	var unreadable *retention.PlanError
	if errors.As(err, &unreadable) || errors.Is(err, retention.ErrOtherStorage) {
		err = misuse{fmt.Errorf("%s: %w", name, err)}
	}
	if err != nil && report.Result == (retention.Result{}) {
		return err
	}
	rerr := p.result(report, func(w io.Writer) { report.write(w, done) })
	switch {
	case err != nil:
		return err
	case rerr != nil:
		return rerr
	case report.Refused > 0:
		return errRefused
	}
	return nil
}

// planReport is the result of retain apply and undo.
type planReport struct {
	DryRun bool `json:"dryRun,omitempty"`
	retention.Result
	// Refusals are the first lines that were refused.
	Refusals []retention.Refusal `json:"refusals,omitempty"`
}

// maxRefusals is the maximum length of planReport.Refusals.
const maxRefusals = 10_000

func (r *planReport) refused(line retention.Refusal) {
	if len(r.Refusals) < maxRefusals {
		r.Refusals = append(r.Refusals, line)
	}
}

func (r *planReport) write(w io.Writer, done string) {
	fmt.Fprintf(w, "%d tags and %d manifests %s, %d were already, %d refused", r.Tags, r.Manifests, done, r.Already,
		r.Refused)
	if r.Bytes > 0 {
		fmt.Fprintf(w, "; collections free %s", display.Size(r.Bytes))
	}
	fmt.Fprintln(w)
	for _, line := range r.Refusals {
		fmt.Fprintln(w, "refused:", line)
	}
	if r.LeftAlone > 0 {
		fmt.Fprintf(w, "%d repositories could not be evaluated\n", r.LeftAlone)
	}
}
