package retention

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/registrykit/registry/reference"
)

const (
	// maxToken is the maximum size of one value of a plan, in bytes. The largest are the rules.
	maxToken = 8 << 20
	// maxPlanLines is the maximum number of lines of one repository.
	maxPlanLines = 4 * DefaultMaxElements
)

// PlanError is returned for content that is not a plan which this version can read.
type PlanError struct {
	// Problem says what is wrong.
	Problem string
}

// Error implements error.
func (e *PlanError) Error() string { return "retention: not a plan that can be read: " + e.Problem }

func invalidPlan(format string, args ...any) error { return &PlanError{fmt.Sprintf(format, args...)} }

// PlanReader reads a plan as a stream, repository by repository. It is not safe for concurrent use.
type PlanReader struct {
	in     *limitedReader
	dec    *json.Decoder
	header Header
	totals Totals
	used   bool
}

// ReadPlan reads the header of a plan. The rules in it are not checked: see [Parse].
//
// Errors: *[PlanError] for content that is not a plan, that a later version of this package has
// written, or that ends early; any error of r.
func ReadPlan(r io.Reader) (*PlanReader, error) {
	p := &PlanReader{in: &limitedReader{r: r}}
	p.dec = json.NewDecoder(p.in)
	if err := p.readHeader(); err != nil {
		return nil, p.explain(err)
	}
	return p, nil
}

// Header returns the header.
func (p *PlanReader) Header() Header { return p.header }

// Repositories yields the lines of one repository after another, in ascending order. It can be used
// once. The memory is that of the lines of one repository, at most four million. An error ends the
// iteration: *[PlanError] if the plan is damaged or ends early, or an error of the reader. A caller
// that must not act on a part of a plan reads it twice, see [CheckPlan].
func (p *PlanReader) Repositories() iter.Seq2[[]Line, error] {
	return func(yield func([]Line, error) bool) {
		if p.used {
			yield(nil, errors.New("retention: the plan was read already"))
			return
		}
		p.used = true
		var lines []Line
		for p.more() {
			l, err := p.readLine()
			if err == nil && len(lines) > 0 && l.Repository != lines[0].Repository {
				if l.Repository < lines[0].Repository {
					err = invalidPlan("the repository %s is not in order", reference.Quote(l.Repository))
				} else if !yield(lines, nil) {
					return
				}
				lines = nil
			}
			if err == nil && len(lines) == maxPlanLines {
				err = invalidPlan("more than %d lines of one repository", maxPlanLines)
			}
			if err != nil {
				yield(nil, p.explain(err))
				return
			}
			lines = append(lines, l)
		}
		// The end comes before the last lines, so that nobody acts on them if it is missing.
		if err := p.readEnd(); err != nil {
			yield(nil, p.explain(err))
			return
		}
		if len(lines) > 0 {
			yield(lines, nil)
		}
	}
}

// Totals returns the totals as the plan states them, after Repositories has come to its end without
// an error. A person may have changed lines since.
func (p *PlanReader) Totals() Totals { return p.totals }

// CheckPlan reads a whole plan, and returns its header and totals.
//
// Errors: those of [ReadPlan] and [PlanReader.Repositories].
func CheckPlan(r io.Reader) (Header, Totals, error) {
	p, err := ReadPlan(r)
	if err != nil {
		return Header{}, Totals{}, err
	}
	for _, err := range p.Repositories() {
		if err != nil {
			return Header{}, Totals{}, err
		}
	}
	return p.header, p.totals, nil
}

// readHeader reads the fields up to the lines.
func (p *PlanReader) readHeader() error {
	if err := p.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for {
		key, err := p.key()
		if err != nil {
			return err
		}
		if seen[key] {
			return invalidPlan("%q occurs twice", key)
		}
		seen[key] = true
		if key == "lines" {
			break
		}
		if err := p.readField(key); err != nil {
			return err
		}
	}
	switch {
	case p.header.Format != PlanFormat:
		return invalidPlan("the format is %s, not %q", reference.Quote(p.header.Format), PlanFormat)
	case p.header.Version < 1 || p.header.Version > PlanVersion:
		return invalidPlan("it has version %d, and this program reads versions up to %d", p.header.Version, PlanVersion)
	case p.header.Storage == "" || p.header.Made.IsZero() || !seen["rules"]:
		return invalidPlan("the storage, the time or the rules are missing before the lines")
	case p.header.History < 0:
		return invalidPlan("negative history")
	}
	return p.delim('[')
}

// readField reads one field of the header.
func (p *PlanReader) readField(key string) error {
	h := &p.header
	to, ok := map[string]any{
		"format": &h.Format, "version": &h.Version, "storage": &h.Storage, "made": &h.Made, "history": &h.History,
		"rulesName": &h.RulesName, "rules": &h.Rules,
	}[key]
	if !ok {
		return invalidPlan("unknown field %s", reference.Quote(key))
	}
	return p.value(to)
}

// readLine reads and checks one line.
func (p *PlanReader) readLine() (l Line, err error) {
	p.in.left = maxToken
	var raw json.RawMessage
	if err = p.value(&raw); err != nil {
		return l, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err = dec.Decode(&l); err != nil {
		return l, invalidPlan("line: %v", err)
	}
	bad := ""
	switch {
	case reference.CheckName(l.Repository) != nil:
		bad = "repository"
	case l.Tag != "" && reference.CheckTag(l.Tag) != nil:
		bad = "tag"
	case l.Decision != Stays && l.Decision != Goes:
		bad = "decision"
	case l.Digest == "" && (l.Tag != "" || l.Decision == Goes),
		l.Digest != "" && reference.CheckDigest(string(l.Digest)) != nil:
		bad = "digest"
	case l.Bytes < 0:
		bad = "bytes"
	}
	if bad != "" {
		return l, invalidPlan("line of the repository %s: invalid %s", reference.Quote(l.Repository), bad)
	}
	return l, nil
}

// readEnd reads what follows the lines.
func (p *PlanReader) readEnd() error {
	if err := p.delim(']'); err != nil {
		return err
	}
	key, err := p.key()
	if err != nil {
		return err
	}
	if key != "totals" {
		return invalidPlan("%s follows the lines, not the totals", reference.Quote(key))
	}
	if err := p.value(&p.totals); err != nil {
		return err
	}
	if err := p.delim('}'); err != nil {
		return err
	}
	p.in.left = maxToken
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return invalidPlan("something follows its end")
	}
	return nil
}

// more reports whether another line follows. A defect shows when it is read.
func (p *PlanReader) more() bool {
	p.in.left = maxToken
	return p.dec.More()
}

func (p *PlanReader) delim(want json.Delim) error {
	p.in.left = maxToken
	got, err := p.dec.Token()
	if err == nil && got != want {
		err = invalidPlan("%q is missing", want.String())
	}
	return err
}

func (p *PlanReader) key() (string, error) {
	p.in.left = maxToken
	got, err := p.dec.Token()
	if err != nil {
		return "", err
	}
	key, ok := got.(string)
	if !ok {
		return "", invalidPlan("a field is missing")
	}
	return key, nil
}

func (p *PlanReader) value(to any) error {
	p.in.left = maxToken
	return p.dec.Decode(to)
}

// explain returns an error of the reader as it is, and any other one as a *PlanError.
func (p *PlanReader) explain(err error) error {
	var plan *PlanError
	switch {
	case p.in.err != nil:
		return fmt.Errorf("retention: reading a plan: %w", p.in.err)
	case errors.As(err, &plan):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return invalidPlan("it ends early")
	}
	return invalidPlan("%v", err)
}

var errTooLong = errors.New("a value is too long")

// limitedReader fails if one value of a document is longer than left, which its reader sets before
// each value.
type limitedReader struct {
	r    io.Reader
	left int
	err  error // of r, unless that is the end
}

func (r *limitedReader) Read(b []byte) (int, error) {
	if r.left <= 0 {
		return 0, errTooLong
	}
	n, err := r.r.Read(b[:min(len(b), r.left)])
	r.left -= n
	if err != nil && !errors.Is(err, io.EOF) && r.err == nil {
		r.err = err
	}
	return n, err
}
