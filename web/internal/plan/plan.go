// Package plan reads plans of retention as a stream, and keeps of them what a page shows: the totals, the first lines,
// and a short form of the plan that fits into a form.
package plan

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	// MaxPacked is the maximum length of a plan in a form, in bytes. A form has at most 1 MiB.
	MaxPacked = 700 << 10
	// maxUnpacked is the maximum size of a plan from a form, in bytes. What a client sends may be packed in any ratio.
	maxUnpacked = 64 << 20
	// maxRules is the maximum number of rules that are told apart.
	maxRules = 1000
)

// ErrInvalid is returned for content that is no plan.
var ErrInvalid = errors.New("plan: this is no plan of retention")

// Line is what goes, or a repository that was left alone.
type Line struct {
	Repository string    `json:"repository"`
	Tag        string    `json:"tag"`
	Digest     string    `json:"digest"`
	Set        time.Time `json:"set"`
	Decision   string    `json:"decision"`
	Rule       string    `json:"rule"`
	Why        string    `json:"why"`
	Bytes      int64     `json:"bytes"`
}

// Totals are the numbers of a plan.
type Totals struct {
	Repositories     int64 `json:"repositories"`
	Tags             int64 `json:"tags"`
	LeftAlone        int64 `json:"leftAlone"`
	RemovedTags      int64 `json:"removedTags"`
	RemovedManifests int64 `json:"removedManifests"`
	Bytes            int64 `json:"bytes"`
}

// Rule is what goes by a rule.
type Rule struct {
	Name            string
	Tags, Manifests int64
	Bytes           int64
}

// Plan is what a page shows of a plan.
type Plan struct {
	Made time.Time
	// History is for how long what goes can be restored, in seconds.
	History int64
	Totals  Totals
	// Lines are the first lines of what goes. Alone are the first repositories that were left alone.
	Lines, Alone []Line
	// Going is the number of all lines of what goes.
	Going int64
	Rules []Rule
	// Packed is a plan with all lines of what goes, for [Unpack]. It is "" if it is longer than MaxPacked.
	Packed string
}

// Read reads a plan to its end. lines is the maximum number of Plan.Lines.
//
// Errors: ErrInvalid, also for a plan that ends early; any error of r.
func Read(r io.Reader, lines int) (*Plan, error) {
	p := &reader{in: json.NewDecoder(r), max: lines, rules: map[string]int{}}
	p.gzip = gzip.NewWriter(&p.packed)
	if err := p.read(); err != nil {
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		if errors.As(err, &syntax) || errors.As(err, &kind) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, ErrInvalid
		}
		return nil, err
	}
	if err := p.gzip.Close(); err != nil {
		return nil, err
	}
	if n := base64.RawURLEncoding.EncodedLen(p.packed.Len()); !p.overflow && n <= MaxPacked {
		p.plan.Packed = base64.RawURLEncoding.EncodeToString(p.packed.Bytes())
	}
	return &p.plan, nil
}

// Unpack returns the plan of Plan.Packed.
//
// Errors: ErrInvalid.
func Unpack(packed string) (io.Reader, error) {
	zipped, err := base64.RawURLEncoding.DecodeString(packed)
	if err != nil || packed == "" {
		return nil, ErrInvalid
	}
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, ErrInvalid
	}
	return io.LimitReader(z, maxUnpacked), nil
}

// reader reads a plan.
type reader struct {
	in       *json.Decoder
	max      int
	plan     Plan
	rules    map[string]int // place in plan.Rules
	packed   bytes.Buffer
	gzip     *gzip.Writer
	overflow bool
}

func (p *reader) read() error {
	if err := p.expect(json.Delim('{')); err != nil {
		return err
	}
	p.write("{\n")
	ended := false
	for p.in.More() {
		key, err := p.in.Token()
		if err != nil {
			return err
		}
		name, ok := key.(string)
		if !ok {
			return ErrInvalid
		}
		if name == "lines" {
			err = p.lines()
		} else {
			err = p.field(name)
		}
		if err != nil {
			return err
		}
		ended = name == "totals"
	}
	if !ended || p.plan.Made.IsZero() {
		return ErrInvalid
	}
	p.write("\n}\n")
	return p.expect(json.Delim('}'))
}

// field reads a field of the header, or the totals.
func (p *reader) field(name string) error {
	var raw json.RawMessage
	if err := p.in.Decode(&raw); err != nil {
		return err
	}
	p.write(fmt.Sprintf("%q: %s", name, raw))
	if name != "totals" {
		p.write(",\n")
	}
	to, ok := map[string]any{"made": &p.plan.Made, "history": &p.plan.History, "totals": &p.plan.Totals}[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return ErrInvalid
	}
	return nil
}

// lines reads the lines.
func (p *reader) lines() error {
	if err := p.expect(json.Delim('[')); err != nil {
		return err
	}
	p.write("\"lines\": [")
	for p.in.More() {
		var raw json.RawMessage
		if err := p.in.Decode(&raw); err != nil {
			return err
		}
		var l Line
		if err := json.Unmarshal(raw, &l); err != nil {
			return ErrInvalid
		}
		switch {
		case l.Decision == "goes":
			if p.plan.Going > 0 {
				p.write(",")
			}
			p.write("\n" + string(raw))
			p.count(l)
		case l.Digest == "" && len(p.plan.Alone) < p.max:
			p.plan.Alone = append(p.plan.Alone, l)
		}
	}
	p.write("\n],\n")
	return p.expect(json.Delim(']'))
}

// count adds a line of what goes.
func (p *reader) count(l Line) {
	p.plan.Going++
	if len(p.plan.Lines) < p.max {
		p.plan.Lines = append(p.plan.Lines, l)
	}
	at, ok := p.rules[l.Rule]
	if !ok {
		if len(p.rules) == maxRules {
			return
		}
		at = len(p.plan.Rules)
		p.rules[l.Rule] = at
		p.plan.Rules = append(p.plan.Rules, Rule{Name: l.Rule})
	}
	r := &p.plan.Rules[at]
	r.Bytes += l.Bytes
	if l.Tag != "" {
		r.Tags++
	} else {
		r.Manifests++
	}
}

// write adds text to the short form, unless that is too long already.
func (p *reader) write(text string) {
	if p.overflow {
		return
	}
	_, _ = io.WriteString(p.gzip, text) // a buffer takes everything
	if p.packed.Len() > MaxPacked {
		p.overflow = true
		p.packed = bytes.Buffer{}
	}
}

func (p *reader) expect(want json.Delim) error {
	got, err := p.in.Token()
	if err == nil && got != want {
		err = ErrInvalid
	}
	return err
}

// SortRules sorts the rules by what they free, the most first.
func (p *Plan) SortRules() {
	slices.SortFunc(p.Rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Name, b.Name))
	})
}
