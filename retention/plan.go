package retention

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
)

// The format of plans.
const (
	// PlanFormat is Header.Format.
	PlanFormat = "retention plan"
	// PlanVersion is Header.Version. A program refuses a plan with a higher one.
	PlanVersion = 1
)

// Header is the beginning of a plan.
type Header struct {
	// Format is PlanFormat, and Version PlanVersion.
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Storage identifies the storage, see storage.Store.ID.
	Storage string `json:"storage"`
	// Made is the time as of which the rules were evaluated.
	Made time.Time `json:"made"`
	// History is for how long the store keeps history, in seconds, and so for how long what is
	// removed can be restored. Zero means that it cannot.
	History int64 `json:"history"`
	// RulesName and Rules are the name and the text of the file with the rules.
	RulesName string `json:"rulesName"`
	Rules     string `json:"rules"`
}

// Totals are the numbers of a plan.
type Totals struct {
	// Repositories, Tags and Untagged count what was looked at. Untagged counts only where rules
	// about untagged manifests apply.
	Repositories int64 `json:"repositories"`
	Tags         int64 `json:"tags"`
	Untagged     int64 `json:"untagged"`
	// LeftAlone counts repositories that could not be evaluated, see [ErrTooLarge] and
	// [ErrDamaged].
	LeftAlone int64 `json:"leftAlone,omitempty"`
	// RemovedTags and RemovedManifests count what goes.
	RemovedTags      int64 `json:"removedTags"`
	RemovedManifests int64 `json:"removedManifests"`
	// Bytes is what that frees: the sizes of the manifests that go, and of the blobs that no
	// manifest names which stays in their repository. Each blob counts once, for the first tag or
	// manifest that goes. A blob that another repository has too does not count, as far as the
	// index of the Store shows, see storage.Inventory.Shared. A collection frees the space, and not
	// before the history has expired.
	Bytes int64 `json:"bytes"`
}

// Plan evaluates the rules for all repositories, and writes the decisions to w: a plan, which
// [ReadPlan] and [Planner.Apply] read. It removes nothing.
//
// A plan is one JSON document. Each tag has a line of its own, so that people can compare plans
// with diff. A line that a person changes from "goes" to "stays" spares what it is about. The
// opposite change has no effect: Apply evaluates the rules again.
//
// Plan holds one repository at a time in memory, and the shared blobs of the storage, with eight
// bytes each. In addition to the requests of [Planner.Evaluate], it makes one for each repository,
// and one for each thousand blobs in repositories.
//
// A repository that cannot be evaluated, see [ErrTooLarge] and [ErrDamaged], has one line, which
// says why, and nothing of it goes.
//
// Errors: any error of the driver and of w. The plan is then incomplete, and is not applied.
func (p *Planner) Plan(ctx context.Context, w io.Writer) (Totals, error) {
	totals, err := p.plan(ctx, w, time.Now())
	if err != nil {
		return Totals{}, fmt.Errorf("retention: planning: %w", err)
	}
	return totals, nil
}

func (p *Planner) plan(ctx context.Context, w io.Writer, now time.Time) (Totals, error) {
	var totals Totals
	id, err := p.store.ID(ctx)
	if err != nil {
		return totals, err
	}
	shared, err := p.sharedBlobs(ctx)
	if err != nil {
		return totals, err
	}
	out := &planWriter{w: bufio.NewWriter(w)}
	out.header(&Header{
		Format: PlanFormat, Version: PlanVersion, Storage: id, Made: now.UTC(),
		History:   int64(p.store.Inventory().HistoryTime() / time.Second),
		RulesName: p.rules.name, Rules: p.rules.text,
	})
	for repo, err := range p.store.Inventory().Repositories(ctx, "") {
		if err != nil {
			return totals, err
		}
		e, err := p.evaluate(ctx, repo, now, shared)
		switch {
		case errors.Is(err, ErrTooLarge), errors.Is(err, ErrDamaged):
			totals.LeftAlone++
			totals.Repositories++
			out.line(&Line{Repository: repo, Decision: Stays, Why: "left alone: " + err.Error()})
		case err != nil:
			return totals, fmt.Errorf("evaluating %s: %w", repo, err)
		default:
			totals.add(e)
			for i := range e.Lines {
				out.line(&e.Lines[i])
			}
		}
		if out.err != nil {
			return totals, out.err
		}
	}
	return totals, out.end(&totals)
}

// add adds the numbers of a repository.
func (t *Totals) add(e *Evaluation) {
	t.Repositories++
	t.Untagged += int64(e.Untagged)
	t.RemovedManifests += int64(len(e.Delete))
	for i := range e.Lines {
		l := &e.Lines[i]
		t.Bytes += l.Bytes
		if l.Tag != "" {
			t.Tags++
			if l.Decision == Goes {
				t.RemovedTags++
			}
		}
	}
}

// maxShared is the maximum number of shared blobs that a Planner holds in memory. Further ones
// count as not shared.
const maxShared = 8 << 20

// sharedBlobs returns a function that reports whether more than one repository has a blob.
func (p *Planner) sharedBlobs(ctx context.Context) (func(digest.Digest) bool, error) {
	var found []uint64
	for d, err := range p.store.Inventory().Shared(ctx) {
		if err != nil {
			return nil, err
		}
		if len(found) == maxShared {
			break
		}
		found = append(found, objectkey.Short(d))
	}
	slices.Sort(found)
	return func(d digest.Digest) bool {
		_, ok := slices.BinarySearch(found, objectkey.Short(d))
		return ok
	}, nil
}

// planWriter writes a plan. It keeps the first error.
type planWriter struct {
	w     *bufio.Writer
	lines int
	err   error
}

// header writes each field in a line, and the beginning of the lines.
func (w *planWriter) header(h *Header) {
	w.text("{\n")
	for _, f := range []struct {
		key   string
		value any
	}{
		{"format", h.Format}, {"version", h.Version}, {"storage", h.Storage}, {"made", h.Made}, {"history", h.History},
		{"rulesName", h.RulesName}, {"rules", h.Rules},
	} {
		w.text(fmt.Sprintf("%q: ", f.key))
		w.json(f.value)
		w.text(",\n")
	}
	w.text(`"lines": [`)
}

func (w *planWriter) line(l *Line) {
	if w.lines++; w.lines > 1 {
		w.text(",")
	}
	w.text("\n")
	w.json(l)
}

// end writes the totals and the end of the document.
func (w *planWriter) end(t *Totals) error {
	w.text("\n],\n\"totals\": ")
	w.json(t)
	w.text("\n}\n")
	if w.err != nil {
		return w.err
	}
	return w.w.Flush()
}

func (w *planWriter) text(s string) {
	if w.err == nil {
		_, w.err = w.w.WriteString(s)
	}
}

func (w *planWriter) json(v any) {
	if w.err != nil {
		return
	}
	b, err := json.Marshal(v)
	if err == nil {
		_, err = w.w.Write(b)
	}
	w.err = err
}
