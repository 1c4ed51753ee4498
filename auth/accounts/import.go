package accounts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/internal/parallel"
)

// ImportOptions are the options of [Accounts.Import]. nil means the zero ImportOptions.
type ImportOptions struct {
	// DryRun counts what an import would change, and changes nothing. It keeps about 100 bytes for each account in
	// memory. Default: false.
	DryRun bool
	// Replace replaces existing facts that differ. It never gives an account the name of another account, and never
	// changes the kind of an account. Default: false, an existing fact that differs is an error.
	Replace bool
}

// ImportResult is the result of [Accounts.Import].
type ImportResult struct {
	// Added, Replaced and Same are numbers of facts: new ones, replaced ones, and those that existed already.
	Added, Replaced, Same int64
}

// maxLine is the maximum length of a line, in bytes. It is more than maxFact, because another program may escape more
// characters in JSON.
const maxLine = 4 * maxFact

// importBatch is the maximum number of facts of one type that are imported in parallel before more are read.
const importBatch = 64

// Import reads an export and creates its accounts with the same IDs, names, passwords and secrets. Another program can
// also write the file. Its first and last line may then be missing, and each line must follow the lines of the
// accounts that it refers to. Each fact is imported atomically. Facts that are not in the file stay.
//
// After an error, the facts of all earlier lines are imported, and perhaps some of the next 63. Import can then be
// repeated with the same file: it counts existing facts as Same.
//
// The hashes of another program may have other parameters of argon2id. A check of such a password then takes a
// different time, which reveals that the user exists, until the password is set again.
//
// by.Force permits names that are in quarantine here. Reserved names are permitted, because an export contains them
// only if an admin has forced them. Each added or replaced fact causes an event and an audit record with the action
// "import." and the type of the line. For an admin, the action is "admin.add".
//
// Errors contain the number of the line. ErrInvalid is returned for a line that breaks a rule, and for a file that is
// empty or was cut off; ErrUnknown for a line that refers to an unknown account; ErrTaken for a name that another
// account has, and for an existing fact that differs, see ImportOptions.Replace; ErrInUse for a disabled account that
// is an admin here; ErrLimit; those of r and of the Driver. ErrNotified is returned at the end.
func (a *Accounts) Import(ctx context.Context, by Actor, r io.Reader, opts *ImportOptions) (ImportResult, error) {
	im := &importer{a: a, by: by, opts: options.Value(opts), seen: make(map[ID]Kind)}
	err := im.read(ctx, r)
	if err == nil && im.line == 0 {
		err = fmt.Errorf("%w: the file is empty", ErrInvalid) // as a pipe from an export that has failed
	}
	if err == nil && im.header && !im.end {
		err = fmt.Errorf("%w: line %d: the file was cut off: the line of type %q is missing", ErrInvalid, im.line+1, lineEnd)
	}
	return im.result, errors.Join(err, im.lost)
}

// importer is the state of an import.
type importer struct {
	a    *Accounts
	by   Actor
	opts ImportOptions

	line        int64 // the number of the line that was read last
	header, end bool  // whether the first and the last line of an export were read
	batch       []job

	mu     sync.Mutex
	result ImportResult
	lost   error       // the first ErrNotified
	seen   map[ID]Kind // the accounts that a dry run would have added
}

// job is a fact that was read and checked.
type job struct {
	line   int64
	group  string // jobs of one group do not depend on each other, and run in parallel
	change Change
	silent bool // apply itself reports the change
	apply  func(ctx context.Context) (outcome, error)
}

// outcome is the result of the import of one fact.
type outcome int

const (
	same outcome = iota
	added
	replaced
)

// read reads all lines.
func (im *importer) read(ctx context.Context, r io.Reader) error {
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		text, err := lines.ReadSlice('\n')
		if len(text) > 0 {
			im.line++
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return errors.Join(im.flush(ctx), im.at(fmt.Errorf("%w: it is longer than %d bytes", ErrInvalid, maxLine)))
		case err != nil && !errors.Is(err, io.EOF):
			return errors.Join(im.flush(ctx), im.at(err))
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			if lerr := im.take(ctx, text); lerr != nil {
				return lerr
			}
		}
		if err != nil {
			return im.flush(ctx)
		}
	}
}

// at returns err with the number of the line that was read last.
func (im *importer) at(err error) error { return fmt.Errorf("line %d: %w", im.line, err) }

// take parses a line and adds it to the batch. It imports the batch first if the batch is full or of another group, or
// if the line is invalid.
func (im *importer) take(ctx context.Context, text []byte) error {
	j, err := im.parse(text)
	if err != nil {
		return errors.Join(im.flush(ctx), im.at(err))
	}
	if j.apply == nil {
		return nil
	}
	j.line = im.line
	if len(im.batch) == importBatch || len(im.batch) > 0 && im.batch[0].group != j.group {
		if err := im.flush(ctx); err != nil {
			return err
		}
	}
	im.batch = append(im.batch, j)
	return nil
}

// flush imports the batch.
func (im *importer) flush(ctx context.Context) error {
	batch := im.batch
	im.batch = im.batch[:0]
	return parallel.Each(parallelRequests, len(batch), func(i int) error {
		j := &batch[i]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("line %d: %w", j.line, context.Cause(ctx))
		}
		done, err := j.apply(ctx)
		if err != nil {
			return fmt.Errorf("line %d: %w", j.line, im.a.refused(ctx, im.by, j.change, err))
		}
		im.count(ctx, done, j)
		return nil
	})
}

// count counts a fact that was imported, and reports it.
func (im *importer) count(ctx context.Context, done outcome, j *job) {
	var err error
	if done != same && !im.opts.DryRun && !j.silent {
		if done == replaced {
			j.change.Before = "replaced"
		}
		err = im.a.done(ctx, im.by, j.change)
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	switch done {
	case added:
		im.result.Added++
	case replaced:
		im.result.Replaced++
	default:
		im.result.Same++
	}
	if im.lost == nil {
		im.lost = err
	}
}

// unparsed is a line whose fact is not parsed yet.
type unparsed struct {
	Type string          `json:"type"`
	Of   ID              `json:"of"`
	Fact json.RawMessage `json:"fact"`
}

// parse parses a line and checks it as far as possible without the storage. The job of the first and of the last line
// has no apply.
//
// Errors: ErrInvalid.
func (im *importer) parse(text []byte) (job, error) {
	l, err := strictly[unparsed](text)
	if err != nil {
		return job{}, err
	}
	if im.end {
		return job{}, fmt.Errorf("%w: there is a line after that of type %q", ErrInvalid, lineEnd)
	}
	switch l.Type {
	case lineExport:
		return job{}, im.begin(l)
	case lineEnd:
		return job{}, im.finish(l)
	}
	j, err := im.parseFact(l)
	j.change.Action = "import." + l.Type
	if j.group == "" {
		j.group = l.Type
	}
	return j, err
}

// begin checks the first line of an export.
func (im *importer) begin(l *unparsed) error {
	h, err := strictly[exportHeader](l.Fact)
	switch {
	case err != nil:
		return err
	case im.line != 1:
		return fmt.Errorf("%w: another export begins", ErrInvalid)
	case h.Version != exportVersion:
		return fmt.Errorf("%w: version %d of the format, of which this program knows %d", ErrInvalid, h.Version,
			exportVersion)
	}
	im.header = true
	return nil
}

// finish checks the last line of an export.
func (im *importer) finish(l *unparsed) error {
	e, err := strictly[exportEnd](l.Fact)
	if err == nil && e.Lines != im.line {
		err = fmt.Errorf("%w: the export has %d lines", ErrInvalid, e.Lines)
	}
	im.end = err == nil
	return err
}

// strictly parses a JSON object. It rejects unknown fields, so that no information is lost silently.
//
// Errors: ErrInvalid.
func strictly[T any](text []byte) (*T, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, fmt.Errorf("%w: it must be a JSON object", ErrInvalid)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	v := new(T)
	if err := d.Decode(v); err != nil {
		return nil, fmt.Errorf("%w: %.200s", ErrInvalid, err.Error())
	}
	if d.InputOffset() != int64(len(text)) {
		return nil, fmt.Errorf("%w: there is something after the JSON object", ErrInvalid)
	}
	return v, nil
}
