package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/jobs"
)

// jobCommand lists, starts or cancels the background jobs of the servers, on a storage or a hub.
type jobCommand struct {
	at   place
	hub  hub
	name bool // the name of a job is an argument

	local  func(ctx context.Context, r *jobs.Runner, name string) error
	remote func(ctx context.Context, c *client.Client, name string) error
	done   string // what was done, or "" for a list
}

// jobCommands returns the commands for background jobs.
func jobCommands() []entry {
	return []entry{
		{"jobs list", "-storage S|-hub URL", "lists the background jobs of the servers", &jobCommand{}},
		{"jobs run", "-storage S|-hub URL JOB", "has a server run a job now", &jobCommand{name: true, done: "was requested",
			local: func(ctx context.Context, r *jobs.Runner, name string) error { return r.Start(ctx, name) },
			remote: func(ctx context.Context, c *client.Client, name string) error {
				_, err := c.RunJob(ctx, name)
				return err
			}}},
		{"jobs cancel", "-storage S|-hub URL JOB", "ends the present run of a job", &jobCommand{name: true, done: "is ending",
			local: func(ctx context.Context, r *jobs.Runner, name string) error { return r.Cancel(ctx, name) },
			remote: func(ctx context.Context, c *client.Client, name string) error {
				_, err := c.CancelJob(ctx, name)
				return err
			}}},
	}
}

func (c *jobCommand) flags(f *flag.FlagSet) {
	c.at.storageOrHubFlag(f)
	c.hub.flags(f)
}

func (c *jobCommand) run(ctx context.Context, p *program, args []string) (err error) {
	job := ""
	if c.name {
		if job, err = one(args, "JOB"); err != nil {
			return err
		}
	} else if err := none(args); err != nil {
		return err
	}
	if err := c.hub.check(c.at.name); err != nil {
		return err
	}
	if c.hub.used() {
		hub, err := c.hub.client(p)
		if err != nil {
			return err
		}
		return hubError(c.act(ctx, p, job, func() error { return c.remote(ctx, hub, job) },
			func() ([]types.Job, error) { return collected(hub.Jobs(ctx)) }))
	}
	if err := c.at.open(ctx); err != nil {
		return err
	}
	defer func() { err = closing(&c.at, err) }()
	runner, err := jobs.New(c.at.driver, nil)
	if err != nil {
		return err
	}
	err = c.act(ctx, p, job, func() error { return c.local(ctx, runner, job) },
		func() ([]types.Job, error) { return states(ctx, runner) })
	if errors.Is(err, jobs.ErrUnknown) || errors.Is(err, jobs.ErrNotRunning) {
		return misuse{err}
	}
	return err
}

// act lists the jobs, or does something with one of them.
func (c *jobCommand) act(_ context.Context, p *program, job string, do func() error,
	list func() ([]types.Job, error)) error {
	if c.done == "" {
		all, err := list()
		if err != nil {
			return err
		}
		return p.result(all, func(w io.Writer) { writeJobs(w, all) })
	}
	if !p.dryRun {
		if err := do(); err != nil {
			return err
		}
	}
	return p.result(map[string]string{"done": "job " + job + " " + c.done},
		func(w io.Writer) { fmt.Fprintf(w, "job %s %s\n", job, c.done) })
}

// states returns the jobs of a storage in the form of the API.
func states(ctx context.Context, r *jobs.Runner) ([]types.Job, error) {
	all, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	list := []types.Job{}
	for _, s := range all {
		list = append(list, types.Job{Name: s.Name, Here: s.Here, Every: int64(s.Every / time.Second), Running: s.Running,
			Holder: s.Holder, Started: s.Started, Progress: s.Progress, Requested: s.Requested,
			Ended: s.Ended, Result: s.Result, Error: s.Error, Failures: s.Failures, Next: s.Next})
	}
	return list, nil
}

// writeJobs writes a table.
func writeJobs(w io.Writer, all []types.Job) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "JOB\tSTATE\tLAST END\tNEXT\tFAILURES\tRESULT")
	at := func(v time.Time) string {
		if v.IsZero() {
			return "-"
		}
		return v.Format(time.RFC3339)
	}
	for _, j := range all {
		state, result := "waiting", string(j.Result)
		switch {
		case j.Running:
			state, result = "running since "+at(j.Started), string(j.Progress)
		case !j.Requested.IsZero():
			state = "requested"
		}
		if j.Error != "" && !j.Running {
			result = fmt.Sprintf("%q", j.Error)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", j.Name, state, at(j.Ended), at(j.Next), j.Failures, short(result))
	}
	_ = t.Flush() // a closed pipe ends the program anyway
}

// short returns the beginning of a JSON text.
func short(text string) string {
	const most = 80
	if !json.Valid([]byte(text)) || len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
