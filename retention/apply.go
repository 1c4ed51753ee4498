package retention

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
)

// ApplyOptions are the options of [Planner.Apply] and [Planner.Undo]. nil means the zero ApplyOptions.
type ApplyOptions struct {
	// DryRun changes nothing. The result counts what would be removed or restored, and Refused is
	// called for what would be refused. What only a change can find out is missing, such as that the
	// identity lacks the right. Default: false.
	DryRun bool
	// Progress is called with the result so far, about once a second and at the end, one call at a
	// time. Default: nil.
	Progress func(Result)
	// Refused is called for each line of the plan that is refused, one call at a time. Default: nil.
	Refused func(Refusal)
}

// Result is what [Planner.Apply], [Planner.Undo] or a run of the job has done.
type Result struct {
	// Repositories counts the repositories of which something was to go.
	Repositories int64 `json:"repositories"`
	// Tags and Manifests count what was removed, or restored by Undo.
	Tags      int64 `json:"tags"`
	Manifests int64 `json:"manifests"`
	// Already counts the lines of the plan with which there was nothing to do: what they are about was
	// gone, or for Undo was there.
	Already int64 `json:"already"`
	// Refused counts the lines of the plan that were refused.
	Refused int64 `json:"refused"`
	// LeftAlone counts the repositories that could not be evaluated, see [ErrTooLarge] and
	// [ErrDamaged].
	LeftAlone int64 `json:"leftAlone,omitempty"`
	// Bytes is what the removal frees, as [Totals].Bytes. It is 0 for Undo.
	Bytes int64 `json:"bytes"`
}

// Reason says in one word why a line of a plan is refused.
type Reason string

// The reasons for refusals.
const (
	// Moved means that the tag points at another manifest than in the plan.
	Moved Reason = "moved"
	// SetAgain means that a push or restore has set the tag since the plan, to the same manifest.
	SetAgain Reason = "set-again"
	// Kept means that the rules of the plan let it stay as things are now.
	Kept Reason = "kept"
	// InUse means that something leads to the manifest that came just before its removal.
	InUse Reason = "in-use"
	// Denied means that a policy forbids the change, such as immutability or a missing right.
	Denied Reason = "denied"
	// LeftAlone means that the repository cannot be evaluated.
	LeftAlone Reason = "left-alone"
	// Changed means that what the plan has removed was changed by others since. Undo leaves that alone.
	Changed Reason = "changed"
	// Lost means that the history does not have it any more, or that its content was collected.
	Lost Reason = "lost"
)

// Refusal is a line of a plan that was not executed.
type Refusal struct {
	// Line is the line.
	Line Line `json:"line"`
	// Reason is the reason, and Detail says in words what differs.
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
}

// String returns the refusal as one line of text.
func (r Refusal) String() string {
	what := string(r.Line.Digest)
	if r.Line.Tag != "" {
		what = r.Line.Tag
	}
	return fmt.Sprintf("%s %s: %s: %s", r.Line.Repository, what, r.Reason, r.Detail)
}

// ErrOtherStorage is returned for a plan that was made for another storage.
var ErrOtherStorage = errors.New("retention: the plan is for another storage")

// Apply removes through b what a plan lets go. b is that of the identity that removes, as
// Registry.Backend returns it: so its rights, immutability, events and the history hold. It must be a
// Backend of the Store of the Planner.
//
// Apply evaluates each repository again, with the rules of the plan and as of the time of the plan, and
// removes only what is to go by both. A tag goes only if it points at the manifest of the plan and was
// not set again since; that is decided within its delete. A manifest goes only if nothing leads to it
// and it was not pushed again since that evaluation, see registry.DeleteOptions.IfUnused and
// NotSetAfter. Everything else that the plan lets go is refused, and the rest goes on.
//
// Apply can be interrupted anywhere, also by a kill: a further Apply of the same plan completes it.
// Several may run at once. If the plan can be read twice (io.Seeker), it is checked as a whole first.
// Otherwise a plan that is cut short is applied up to the last repository before its end.
//
// Memory and requests are those of [Planner.Evaluate] for each repository of which something is to go,
// and those of the deletes. A delete of a manifest lists the manifests of its repository.
//
// Errors: [ErrOtherStorage]; *[PlanError], also for rules that are invalid or that ask about pulls without
// Options.Pulls; registry.ErrUnsupported if b cannot delete on a condition; the error of ctx; any error of
// b and of the driver. The result counts what was done before an error.
func (p *Planner) Apply(ctx context.Context, b registry.Backend, plan io.Reader, opts *ApplyOptions) (Result, error) {
	var a *application
	r, err := p.execute(ctx, plan, opts, func(by *Planner, t *tally, h Header) func(context.Context, []Line) error {
		// A time in the future would make everything old.
		now := h.Made
		if present := time.Now(); now.After(present) {
			now = present
		}
		a = &application{planner: by, backend: b, now: now, tally: t}
		return a.repository
	})
	if err != nil {
		err = fmt.Errorf("retention: applying a plan: %w", err)
	}
	return r, err
}

// execute calls what begin returns for the lines of each repository of a plan of which something is to
// go.
func (p *Planner) execute(ctx context.Context, plan io.Reader, opts *ApplyOptions,
	begin func(by *Planner, t *tally, h Header) func(ctx context.Context, lines []Line) error) (Result, error) {
	t := &tally{opts: options.Value(opts)}
	err := func() error {
		if err := rehearse(plan); err != nil {
			return err
		}
		in, err := ReadPlan(plan)
		if err != nil {
			return err
		}
		by, err := p.forPlan(ctx, in.Header(), t.opts.DryRun)
		if err != nil {
			return err
		}
		do := begin(by, t, in.Header())
		for lines, err := range in.Repositories() {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = do(ctx, lines)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}()
	return t.end(), err
}

// rehearse reads a plan that can be read twice, and returns to where it was.
func rehearse(plan io.Reader) error {
	s, ok := plan.(io.Seeker)
	if !ok {
		return nil
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil // a pipe
	}
	if _, _, err := CheckPlan(plan); err != nil {
		return err
	}
	_, err = s.Seek(at, io.SeekStart)
	return err
}

// forPlan returns a Planner with the rules of a plan.
//
// Errors: ErrOtherStorage; *PlanError for rules that Parse or WithRules refuses.
func (p *Planner) forPlan(ctx context.Context, h Header, readOnly bool) (*Planner, error) {
	id, err := p.store.ID(ctx)
	if err != nil {
		return nil, err
	}
	if id != h.Storage {
		return nil, fmt.Errorf("%w: it is for %s, and this is %s", ErrOtherStorage, h.Storage, id)
	}
	rules, err := Parse(h.RulesName, []byte(h.Rules))
	if err != nil {
		return nil, invalidPlan("its rules: %v", err)
	}
	by, err := p.WithRules(rules)
	if err != nil {
		return nil, invalidPlan("its rules: %v", err)
	}
	by.opts.ReadOnly = by.opts.ReadOnly || readOnly
	return by, nil
}
