package interleave

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// mutant is a driver that breaks one rule. Its effect is that of a Store that omits a condition or
// a read.
type mutant struct {
	driver.Driver
	unconditionalPut    *regexp.Regexp // Put ignores its condition for these keys
	unconditionalDelete *regexp.Regexp // Delete ignores its condition for these keys
	unseen              *regexp.Regexp // Stat does not find these keys
	lost                *regexp.Regexp // Stat finds these keys even after a delete
	unlisted            *regexp.Regexp // List omits these keys
	late                *regexp.Regexp // List omits these keys for a while after they were written
	state               string         // List omits records in this state
	swapped             bool           // Delete removes the mark of data before the data
	unawaited           bool           // Put drops the note that a subject is awaited
	blind               string         // actors of this name do not see where a tag is about to point
	from                uint64         // the first seed to run, if the seeds before it find nothing
	mix                 string         // the mix of all runs; "" lets the seeds choose

	seen *sync.Map // the objects that match lost, as they were put
}

// on returns a copy of the mutant over a driver.
func (m mutant) on(below driver.Driver) driver.Driver {
	m.Driver, m.seen = below, &sync.Map{}
	return &m
}

// lateness is how long List omits a late key: a few dozen calls.
const lateness = 30 * step

func matches(r *regexp.Regexp, key string) bool { return r != nil && r.MatchString(key) }

func (m *mutant) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if opts != nil && matches(m.unconditionalPut, key) {
		o := *opts
		o.IfAbsent, o.IfVersion = false, ""
		opts = &o
	}
	if m.unawaited && strings.Contains(key, "/m/") {
		b, err := io.ReadAll(body)
		if err != nil || strings.HasPrefix(string(b), `{"state":"awaited"`) {
			return driver.Info{Key: key, Version: "none"}, err
		}
		body = bytes.NewReader(b)
	}
	info, err := m.Driver.Put(ctx, key, body, opts)
	if err == nil && matches(m.lost, key) {
		m.seen.Store(key, info)
	}
	return info, err
}

func (m *mutant) Stat(ctx context.Context, key string) (driver.Info, error) {
	if matches(m.unseen, key) {
		return driver.Info{}, driver.ErrNotExist
	}
	if info, ok := m.seen.Load(key); ok {
		return info.(driver.Info), nil
	}
	return m.Driver.Stat(ctx, key)
}

func (m *mutant) Delete(ctx context.Context, key, ifVersion string) error {
	if matches(m.unconditionalDelete, key) {
		ifVersion = ""
	}
	if m.swapped && ctx.Value(actorKey{}) != nil {
		if name, ok := strings.CutPrefix(key, "data/"); ok {
			if _, err := m.Driver.Stat(ctx, "dead/"+name); err == nil {
				key = "dead/" + name
			}
		} else if name, ok := strings.CutPrefix(key, "dead/"); ok {
			_ = m.Driver.Delete(ctx, key, "")
			key = "data/" + name
		}
	}
	return m.Driver.Delete(ctx, key, ifVersion)
}

func (m *mutant) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	return func(yield func(driver.Info, error) bool) {
		for info, err := range m.Driver.List(ctx, prefix, opts) {
			if err == nil && (matches(m.unlisted, info.Key) || matches(m.late, info.Key) &&
				time.Since(info.ModTime) < lateness || m.state != "" && m.isInState(ctx, info.Key)) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func (m *mutant) isInState(ctx context.Context, key string) bool {
	r, _, err := m.Driver.Open(ctx, key, nil)
	if err != nil {
		return false
	}
	defer r.Close()
	head := make([]byte, 40)
	n, _ := io.ReadFull(r, head)
	return strings.Contains(string(head[:n]), `"`+m.state+`"`)
}

func (m *mutant) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	r, info, err := m.Driver.Open(ctx, key, opts)
	a, ok := ctx.Value(actorKey{}).(*actor)
	if err != nil || !ok || a.name != m.blind || !tagKeys.MatchString(key) {
		return r, info, err
	}
	defer r.Close()
	var tag map[string]json.RawMessage
	if err := json.NewDecoder(r).Decode(&tag); err != nil {
		return nil, info, err
	}
	delete(tag, "next")
	b, err := json.Marshal(tag)
	b = append(b, '\n')
	info.Size = int64(len(b))
	return io.NopCloser(bytes.NewReader(b)), info, err
}

var tagKeys = regexp.MustCompile(`^r/[^/]*/t/`)
