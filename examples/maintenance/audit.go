package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// audits shows records of the audit log of a hub.
type audits struct {
	hub   hub
	query client.AuditQuery
	since time.Duration
	limit int
}

func (c *audits) flags(f *flag.FlagSet) {
	c.hub.flags(f)
	lifetime(f, &c.since, "since", "Show the records of this `time`, such as 7d. (default 24h)")
	f.StringVar(&c.query.Actor, "actor", "", "Show only what the caller of this `name` did. Default: all callers.")
	f.StringVar(&c.query.Repository, "repository", "", "Show only what is about this `repository`. Default: all.")
	f.StringVar(&c.query.Account, "account", "", "Show only what is about this `account`. Default: all.")
	f.StringVar(&c.query.Action, "action", "", "Show only this `action`, such as push. Default: all.")
	f.StringVar(&c.query.Outcome, "outcome", "", "Show only this `outcome`: allowed or denied. Default: both.")
	f.IntVar(&c.limit, "limit", 100, "Show at most this `number` of records. 0: all.")
}

func (c *audits) run(ctx context.Context, p *program, args []string) error {
	if err := none(args); err != nil {
		return err
	}
	if !c.hub.used() {
		return misusef("-hub is required")
	}
	if err := c.hub.check(""); err != nil {
		return err
	}
	hub, err := c.hub.client(p)
	if err != nil {
		return err
	}
	if c.since == 0 {
		c.since = 24 * time.Hour
	}
	c.query.Since = time.Now().Add(-c.since)
	records, err := collected(limited(hub.Audit(ctx, c.query), c.limit))
	if err != nil {
		return hubError(err)
	}
	return p.result(records, func(w io.Writer) {
		for _, r := range records {
			writeRecord(w, &r)
		}
	})
}

// writeRecord writes a record as a line.
func writeRecord(w io.Writer, r *types.AuditRecord) {
	what := []string{r.Action, r.Kind, r.Repository, strings.Join(r.Tags, ","), r.Digest, r.Name}
	if r.Account != nil {
		what = append(what, r.Account.Change, r.Account.Name)
	}
	actor := r.Actor
	if actor == "" {
		actor = "(anonymous)"
	}
	line := strings.Join(strings.Fields(strings.Join(what, " ")), " ")
	if r.Count > 1 {
		line += fmt.Sprintf(" (%d times)", r.Count)
	}
	text, _ := json.Marshal(line + " " + r.Reason) // a terminal must not interpret it
	fmt.Fprintln(w, r.Time.Format(time.RFC3339), r.Outcome, actor, strings.Trim(string(text), `" `))
}

// collected returns the elements of a sequence.
func collected[T any](all iter.Seq2[T, error]) ([]T, error) {
	list := []T{}
	for v, err := range all {
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// limited ends a sequence after limit elements. 0 means no limit.
func limited[T any](all iter.Seq2[T, error], limit int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		for v, err := range all {
			if n++; !yield(v, err) || n == limit {
				return
			}
		}
	}
}
