package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/retention"
)

const (
	// maxPlan is the maximum size of a plan in a request, in bytes: about a million lines.
	maxPlan = 256 << 20
	// maxPlanMemory is the size up to which a plan is held in memory, in bytes. A larger one is a
	// temporary file.
	maxPlanMemory = 4 << 20
	// maxRefusals is the maximum number of refusals in a response.
	maxRefusals = 1000
)

var errPlanTooLarge = registry.NewError("TOO_LARGE", http.StatusRequestEntityTooLarge, "the plan has more than 256 MiB")

// retentionRoutes are the routes of the part retention.
func (a *API) retentionRoutes() []route {
	read := needs(auth.TypeRegistry, auth.NameRetention, auth.Read)
	manage := needs(auth.TypeRegistry, auth.NameRetention, auth.Manage)
	return []route{
		{method: "GET", path: "/v1/retention/rules", access: read, handle: getRetentionRules},
		{method: "POST", path: "/v1/retention/plans", access: read, handle: makeRetentionPlan},
		{method: "POST", path: "/v1/retention/apply", access: manage, handle: applyRetentionPlan},
		{method: "POST", path: "/v1/retention/undo", access: manage, handle: undoRetentionPlan},
	}
}

func getRetentionRules(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	rules := types.RetentionRules{Rules: []string{}}
	if r := q.api.opts.Retention.Rules(); r != nil {
		rules = types.RetentionRules{Name: r.Name(), Text: r.Text(), Rules: texts(r.Names())}
		for _, d := range r.Describe() {
			rules.Details = append(rules.Details, types.RetentionRule{Name: d.Name, Repositories: d.Repositories, Tags: d.Tags,
				Untagged: d.Untagged, If: conditionsOf(d.If), Keep: conditionsOf(d.Keep)})
		}
	}
	return found(rules), nil
}

func conditionsOf(all []retention.Condition) []types.RetentionCondition {
	var list []types.RetentionCondition
	for _, c := range all {
		list = append(list, types.RetentionCondition{Name: c.Name, Values: c.Values})
	}
	return list
}

// makeRetentionPlan streams a plan while it is made.
func makeRetentionPlan(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	q.unchanged = true
	return &response{contentType: jsonType, fileName: "plan.json", stream: func(w http.ResponseWriter) error {
		_, err := q.api.opts.Retention.Plan(q.Context(), w)
		return err
	}}, nil
}

func applyRetentionPlan(q *request) (*response, error) {
	return q.executePlan(q.api.opts.Retention.Apply, "removed")
}

func undoRetentionPlan(q *request) (*response, error) {
	return q.executePlan(q.api.opts.Retention.Undo, "restored")
}

// executePlan applies or undoes the plan in the body, with the rights of the caller. The plan is
// read to its end before anything is changed. The changes stop when the client closes the
// connection: each of them is complete, and the same plan can be sent again. Several plans may be
// executed at once.
func (q *request) executePlan(execute func(context.Context, registry.Backend, io.Reader, *retention.ApplyOptions) (
	retention.Result, error), what string) (*response, error) {
	if err := q.only("dryRun"); err != nil {
		return nil, err
	}
	dryRun, err := q.boolean("dryRun")
	if err != nil {
		return nil, err
	}
	q.unchanged = dryRun
	plan, err := q.spool()
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	refusals := []types.RetentionRefusal{}
	result, err := execute(q.Context(), q.caller.Backend(), plan, &retention.ApplyOptions{
		DryRun: dryRun,
		Refused: func(r retention.Refusal) {
			if len(refusals) < maxRefusals {
				refusals = append(refusals, refusalOf(r))
			}
		},
	})
	if err != nil {
		return nil, planFailure(err, result, dryRun, what)
	}
	return &response{body: types.RetentionResult{
		DryRun: dryRun, Repositories: result.Repositories, Tags: result.Tags, Manifests: result.Manifests,
		Already: result.Already, Refused: result.Refused, LeftAlone: result.LeftAlone, Bytes: result.Bytes,
		Refusals: refusals,
	}}, nil
}

// planFailure returns the error of a plan, with what was done before.
func planFailure(err error, result retention.Result, dryRun bool, what string) error {
	if errors.Is(err, registry.ErrUnsupported) {
		// 405 is for methods, and the path has this one.
		err = errConflict.WithMessage("the storage does not support this: " + err.Error()).WithCause(err)
	}
	if dryRun || result.Tags+result.Manifests == 0 {
		return err
	}
	e := wireError(err)
	return e.WithMessage(fmt.Sprintf("%s (%d tags and %d manifests were %s: send the same plan again)", e.Message(),
		result.Tags, result.Manifests, what)).WithCause(err)
}

func refusalOf(r retention.Refusal) types.RetentionRefusal {
	return types.RetentionRefusal{Repository: r.Line.Repository, Tag: r.Line.Tag, Digest: string(r.Line.Digest),
		Set: instant(r.Line.Set), Reason: string(r.Reason), Detail: r.Detail}
}

// spooled is a plan that can be read twice: it is checked as a whole before it is applied.
type spooled struct {
	io.ReadSeeker
	close func()
}

// Close removes the temporary file.
func (s *spooled) Close() { s.close() }

// spool reads the body, into memory or into a temporary file.
//
// Errors: 413, 415 and 400; any error of the file system.
func (q *request) spool() (*spooled, error) {
	if mediaType, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || mediaType != jsonType {
		return nil, errMediaType
	}
	if q.ContentLength > maxPlan {
		return nil, errPlanTooLarge
	}
	body := &source{r: http.MaxBytesReader(q.writer, q.Body, maxPlan)}
	start, err := io.ReadAll(io.LimitReader(body, maxPlanMemory))
	if err != nil {
		return nil, bodyError(err)
	}
	if len(start) < maxPlanMemory {
		return &spooled{bytes.NewReader(start), func() {}}, nil
	}
	f, err := os.CreateTemp("", "plan-*.json")
	if err != nil {
		return nil, err
	}
	s := &spooled{f, func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}}
	_, err = io.Copy(f, io.MultiReader(bytes.NewReader(start), body))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		s.Close()
		if body.err != nil {
			err = bodyError(body.err)
		}
		return nil, err
	}
	return s, nil
}

// source remembers the error of a reader, to tell it from that of a writer.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// bodyError returns the error of a body that cannot be read.
func bodyError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return errPlanTooLarge
	}
	return errInvalid.WithMessage("the body could not be read").WithCause(err)
}
