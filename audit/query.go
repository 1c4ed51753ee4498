package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// Limits of the work for one page. A page that reaches one is short, and has a next one.
const (
	maxDays  = 31       // lists
	maxReads = 1000     // objects
	maxBytes = 16 << 20 // of objects
	// width is the number of objects that are read at the same time.
	width = 16
	// maxLists is how often a day is listed whose objects are merged at the same time.
	maxLists = 5
)

// ErrCursor is returned by [Log.Page] for a malformed cursor.
var ErrCursor = errors.New("audit: malformed cursor")

// Query selects records. Empty fields select all.
type Query struct {
	// Since is the first time, and Until the time after the last one. Default: Options.Keep before
	// Until, and a day from now, because the clocks of replicas differ. Records with a later time are
	// found only with Until.
	Since, Until time.Time
	// Actor, Action and Outcome are those of a Record.
	Actor, Action, Outcome string
	// Repository is Record.Repository.
	Repository string
	// Account is an account that a record is about: its name in Record.Name or its Member in
	// Record.Account.
	Account string
}

// matches reports whether a query selects a record, apart from its time.
func (q *Query) matches(r *Record) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	about := q.Account == "" || r.Kind == "account" && r.Name == q.Account ||
		r.Account != nil && (r.Account.Name == q.Account || r.Account.Member == q.Account)
	return about && is(q.Actor, r.Actor) && is(q.Action, r.Action) && is(q.Outcome, r.Outcome) &&
		is(q.Repository, r.Repository)
}

// needles returns texts that the line of each selected record contains.
func (q *Query) needles() (all [][]byte) {
	for _, text := range []string{q.Actor, q.Action, q.Outcome, q.Repository, q.Account} {
		if b, err := json.Marshal(text); err == nil && text != "" {
			all = append(all, b)
		}
	}
	return all
}

// position is a place in the order of all records, the newest first. The records after it are older
// than time, or have this time and a smaller ID.
type position struct {
	time time.Time
	id   string
}

// before reports whether p comes before r.
func (p position) before(r *Record) bool {
	return r.Time.Before(p.time) || r.Time.Equal(p.time) && r.ID < p.id
}

func (p position) String() string { return p.time.UTC().Format(time.RFC3339Nano) + "~" + p.id }

// parsePosition reads a cursor.
//
// Errors: ErrCursor.
func parsePosition(cursor string) (position, error) {
	at, id, ok := strings.Cut(cursor, "~")
	t, err := time.Parse(time.RFC3339Nano, at)
	if !ok || err != nil {
		return position{}, ErrCursor
	}
	return position{t, id}, nil
}

// Page returns the records that q selects after a cursor, the newest first, at most limit of them,
// which must be positive. next is the cursor of the next page, or "" on the last one. A page may be
// short, or empty, and have a next one: it reads at most 31 days and 1000 objects. q may be nil.
// The first cursor is "".
//
// Errors: ErrCursor; any error of the driver. An object that is damaged is a record with the action
// Damaged.
func (l *Log) Page(ctx context.Context, q *Query, after string, limit int) (records []Record, next string, err error) {
	p := page{log: l, limit: limit}
	if q != nil {
		p.query = *q
	}
	now := time.Now().UTC()
	if p.query.Until.IsZero() {
		p.query.Until = now.Add(24 * time.Hour)
	}
	if p.query.Since.IsZero() {
		p.query.Since = p.query.Until.Add(-l.opts.Keep - 24*time.Hour)
	}
	p.after = position{p.query.Until, ""}
	if after != "" {
		given, err := parsePosition(after)
		if err != nil {
			return nil, "", err
		}
		if given.time.Before(p.after.time) {
			p.after = given
		}
	}
	p.needles = p.query.needles()
	end, err := p.run(ctx)
	if err != nil {
		return nil, "", err
	}
	if end != nil {
		next = end.String()
	}
	return p.found, next, nil
}

// Records yields the records that q selects, the newest first, of any number of days. q may be nil.
//
// Errors: an error is the last element. Those of Page.
func (l *Log) Records(ctx context.Context, q *Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for cursor := ""; ; {
			records, next, err := l.Page(ctx, q, cursor, maxReads)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			cursor = next
		}
	}
}

// Export writes the records that q selects to w, one JSON object a line, the newest first. It holds
// one page in memory.
//
// Errors: those of Page and of w.
func (l *Log) Export(ctx context.Context, q *Query, w io.Writer) error {
	e := json.NewEncoder(w)
	for r, err := range l.Records(ctx, q) {
		if err != nil {
			return err
		}
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// page is the search for one page.
type page struct {
	log     *Log
	query   Query
	needles [][]byte
	after   position
	limit   int

	found []Record // the newest that were found, sorted, at most limit+1
	reads int
	bytes int64
}

// run searches day by day. It returns the position of the next page, or nil on the last one.
func (p *page) run(ctx context.Context) (*position, error) {
	d := p.after.time.UTC().Truncate(24 * time.Hour)
	for n := 0; !d.Before(p.query.Since.UTC().Truncate(24 * time.Hour)); d = d.Add(-24 * time.Hour) {
		if n++; n > maxDays {
			older, err := p.log.older(ctx, d)
			if err != nil || !older {
				return nil, err
			}
			return p.stop(d.Add(24 * time.Hour)), nil
		}
		end, err := p.day(ctx, d.Format(dayFormat))
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		if end != nil {
			return end, nil
		}
		if len(p.found) > p.limit {
			return p.full(), nil
		}
	}
	return nil, nil
}

// older reports whether there is an object of a day or of one before it.
func (l *Log) older(ctx context.Context, d time.Time) (bool, error) {
	for info, err := range l.driver.List(ctx, prefix, &driver.ListOptions{KeysOnly: true, PageHint: 1}) {
		return err == nil && info.Key < prefix+day(d.Add(24*time.Hour)), err
	}
	return false, nil
}

// full ends a page that has enough records.
func (p *page) full() *position {
	p.found = p.found[:p.limit]
	last := p.found[p.limit-1]
	return &position{last.Time, last.ID}
}

// stop ends a page at a limit of its work: only records at or after a time are known to be
// complete.
func (p *page) stop(complete time.Time) *position {
	n := slices.IndexFunc(p.found, func(r Record) bool { return r.Time.Before(complete) })
	if n >= 0 {
		p.found = p.found[:n]
	}
	if len(p.found) > p.limit {
		return p.full()
	}
	return &position{complete, ""}
}

// day searches a day. It returns the position of the next page if the page ends within the day.
func (p *page) day(ctx context.Context, day string) (end *position, err error) {
	for range maxLists {
		var objects []object
		if objects, err = p.log.list(ctx, day, p.query.Since, p.after.time); err != nil {
			return nil, err
		}
		end, err = p.objects(ctx, objects)
		if !errors.Is(err, driver.ErrNotExist) {
			break
		}
		// A merge has removed an object after the list. Its records are in another one.
	}
	return end, err
}

// objects reads objects, those with the newest records first, until the page is full.
func (p *page) objects(ctx context.Context, objects []object) (*position, error) {
	slices.SortFunc(objects, func(a, b object) int { return cmp.Or(b.last.Compare(a.last), cmp.Compare(a.Key, b.Key)) })
	for len(objects) > 0 {
		next := objects[0]
		if len(p.found) > p.limit && next.last.Before(p.found[p.limit].Time) {
			return nil, nil // all others are older
		}
		// The records after next.last are complete. Without one more object, the next page would begin
		// where this one did.
		complete := next.last.Add(1)
		if (p.reads >= maxReads || p.bytes >= maxBytes) && complete.Before(p.after.time) {
			return p.stop(complete), nil
		}
		n := p.several(objects)
		if err := p.readAll(ctx, objects[:n]); err != nil {
			return nil, err
		}
		objects = objects[n:]
	}
	return nil, nil
}

// several returns the number of objects to read at once.
func (p *page) several(objects []object) int {
	size := int64(0)
	for n, o := range objects {
		if size += o.Size; n >= width || n > 0 && size > small {
			return n
		}
	}
	return len(objects)
}

// readAll adds the records of objects.
func (p *page) readAll(ctx context.Context, objects []object) error {
	lines := make([][][]byte, len(objects))
	damaged := make([]error, len(objects))
	err := parallel.Each(width, len(objects), func(i int) (err error) {
		lines[i], err = p.log.read(ctx, objects[i])
		if errors.Is(err, errDamaged) {
			damaged[i], err = err, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, o := range objects {
		p.reads++
		p.bytes += o.Size
		if err := p.lines(lines[i]); err != nil {
			damaged[i] = err
		}
		if damaged[i] != nil {
			p.damaged(ctx, o, damaged[i])
		}
	}
	return nil
}

// lines adds the records of an object that the query selects. The newest come first, so it skips
// those before the page, and stops at the first that is older than the page.
//
// Errors: errDamaged for a line that is no record. The other lines were looked at.
func (p *page) lines(lines [][]byte) (err error) {
	from := sort.Search(len(lines), func(i int) bool {
		var e entry
		return json.Unmarshal(lines[i], &e) != nil || !e.Time.After(p.after.time)
	})
	for _, line := range lines[from:] {
		if !p.mayMatch(line) {
			continue
		}
		var r Record
		if bad := json.Unmarshal(line, &r); bad != nil {
			err = fmt.Errorf("%w: %w", errDamaged, bad)
			continue
		}
		if r.Time.Before(p.query.Since) || len(p.found) > p.limit && r.Time.Before(p.found[p.limit].Time) {
			break
		}
		if p.query.matches(&r) {
			p.add(r)
		}
	}
	return err
}

// mayMatch reports whether a line has the texts of the query. To look for them is cheaper than to
// decode the line.
func (p *page) mayMatch(line []byte) bool {
	for _, needle := range p.needles {
		if !bytes.Contains(line, needle) {
			return false
		}
	}
	return true
}

// damaged adds a record that stands for an object that cannot be read.
func (p *page) damaged(ctx context.Context, o object, err error) {
	p.log.log.ErrorContext(ctx, "audit: an object is damaged", "key", o.Key, "error", err)
	p.add(Record{ID: o.unique, Time: o.last, Action: Damaged, Outcome: Allowed,
		Reason: "an object with records from " + o.first.Format(time.RFC3339) + " cannot be read: " + o.Key})
}

// add adds a record at its place. It keeps one of two records with the same ID, and limit+1 in all.
func (p *page) add(r Record) {
	if r.Time.Before(p.query.Since) || !p.after.before(&r) {
		return
	}
	i, found := slices.BinarySearchFunc(p.found, r, order)
	switch {
	case found:
		if r.Count > p.found[i].Count {
			p.found[i] = r
		}
		return
	case i > p.limit:
		return
	}
	p.found = slices.Insert(p.found, i, r)
	if len(p.found) > p.limit+1 {
		p.found = p.found[:p.limit+1]
	}
}
