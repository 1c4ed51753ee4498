package usage

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/registrykit/registry"
)

// ErrNotCounted is returned when no count has ended yet, or when its result was deleted or damaged. The
// next count makes it anew.
var ErrNotCounted = errors.New("usage: not counted yet")

// MaxLargest is the maximum number of reports of [Meter.Largest].
const MaxLargest = 20

// Figures are what a repository or a prefix of names holds. Sizes are in bytes. Content that clients
// cannot pull does not count, such as a manifest whose push has not ended.
type Figures struct {
	// Repositories, Tags, Manifests and Blobs are numbers. A prefix counts a blob or manifest once,
	// however many of its repositories have it.
	Repositories int64 `json:"repositories"`
	Tags         int64 `json:"tags"`
	Manifests    int64 `json:"manifests"`
	Blobs        int64 `json:"blobs"`
	// Logical is the size of the blobs and manifests, each once in the prefix. Quotas use it.
	Logical int64 `json:"logical"`
	// Repeated is the sum of Logical over the repositories. Repeated minus Logical is what sharing
	// blobs saves.
	Repeated int64 `json:"repeated"`
	// Physical is what the content takes in the storage: the bytes of blobs, each stored copy once,
	// and the manifests of each repository. Small blobs, of which each repository has a copy, count
	// for each. The first lines of records and other objects of the storage do not count.
	Physical int64 `json:"physical"`
	// Exclusive is the part of Physical that no repository outside the prefix uses: what collections
	// free after everything in the prefix has been deleted. With a history, they keep it for that
	// time.
	Exclusive int64 `json:"exclusive"`
	// Unreferenced is the size of blob data that no repository has: those of uploads in progress, of
	// deleted repositories in the history, and what the next collections remove. It is set for the
	// prefix "" only, and not part of Physical.
	Unreferenced int64 `json:"unreferenced,omitempty"`
}

// Report answers a question about a prefix.
type Report struct {
	// Prefix is the repository, or the prefix of names, or "" for the whole storage.
	Prefix string `json:"prefix"`
	// Repository reports whether there is a repository of this name.
	Repository bool `json:"repository"`
	// Children is the number of prefixes and repositories directly below the prefix.
	Children int64 `json:"children"`
	// Figures are the figures of the prefix at the time Counted: of the repository of this name and
	// of all repositories below it.
	Figures Figures `json:"figures"`
	// Own are the figures of the repository of this name alone. They are those of the prefix if
	// there is no repository below it, and zero if there is no repository of this name. Largest and
	// History leave them out.
	Own Figures `json:"own,omitzero"`
	// Counted is when the count began that the figures are from, by the clock of the replica that
	// counted.
	Counted time.Time `json:"counted"`
}

// Age returns how old the figures are at a time. It is never negative.
func (r Report) Age(now time.Time) time.Duration { return max(0, now.Sub(r.Counted)) }

// Report returns the figures of a repository or prefix, as the last count found them. A prefix consists
// of whole components of names: "team" covers team/app and team/app/web, and team itself, but not teams.
// It makes two requests, and three or more only at the moment when another count ends.
//
// Errors: ErrNotCounted; registry.ErrNameUnknown if no repository is in the prefix; registry.ErrNameInvalid;
// any error of the driver.
func (m *Meter) Report(ctx context.Context, prefix string) (Report, error) {
	r, counted, err := m.row(ctx, prefix)
	if err != nil {
		return Report{}, err
	}
	return r.report(counted), nil
}

// Largest returns the reports of the n repositories and prefixes directly below a prefix that have the
// largest Physical, the largest first. n is at most MaxLargest; a larger n counts as MaxLargest. It makes
// as many requests as Report.
//
// Errors: as Report.
func (m *Meter) Largest(ctx context.Context, prefix string, n int) ([]Report, error) {
	r, counted, err := m.row(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var all []Report
	for _, c := range r.largest[:min(len(r.largest), max(n, 0))] {
		all = append(all, Report{
			Prefix: c.prefix, Repository: c.repository, Children: c.children, Figures: c.figures, Counted: counted,
		})
	}
	return all, nil
}

// History yields a report for each of the last 31 days in UTC on which a count began, up to the day of the
// last count, the oldest first. The figures are those of the last count of the day. It makes as many
// requests as Report.
//
// Errors: as Report.
func (m *Meter) History(ctx context.Context, prefix string) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		r, counted, err := m.row(ctx, prefix)
		if err != nil {
			yield(Report{}, err)
			return
		}
		today := counted.Unix() / secondsADay
		for _, d := range r.days {
			if n := d.at / secondsADay; n <= today-historyDays || n > today {
				continue
			}
			if !yield(Report{
				Prefix: prefix, Repository: r.repository, Children: r.children, Figures: d.figures,
				Counted: time.Unix(d.at, 0),
			}, nil) {
				return
			}
		}
	}
}

// row returns the row of a prefix, and when it was counted.
func (m *Meter) row(ctx context.Context, prefix string) (*row, time.Time, error) {
	if prefix != "" {
		if err := registry.CheckName(prefix); err != nil {
			return nil, time.Time{}, err
		}
	}
	var found *row
	counted, err := m.current(ctx, func(r *root, c *call) error {
		var err error
		found, err = m.rowOf(ctx, r, prefix, c)
		return err
	})
	return found, counted, err
}

// rowOf returns the row of a prefix in a snapshot.
//
// Errors: registry.ErrNameUnknown; errGone; any error of the driver.
func (m *Meter) rowOf(ctx context.Context, r *root, prefix string, c *call) (*row, error) {
	if page := r.page(prefix); page < len(r.Last) {
		for row, err := range m.rows(ctx, r, page, c) {
			if err != nil {
				return nil, err
			}
			if row.prefix == prefix {
				return row, nil
			}
		}
	}
	return nil, registry.ErrNameUnknown.WithDetail(map[string]string{"name": prefix})
}

// current calls f with the root of the last snapshot, and again with a newer one if pages are gone. It
// returns when the snapshot was counted.
//
// Errors: ErrNotCounted; those of f; any error of the driver.
func (m *Meter) current(ctx context.Context, f func(*root, *call) error) (time.Time, error) {
	c := m.newCall(nil)
	if err := c.enter(ctx); err != nil {
		return time.Time{}, err
	}
	defer c.leave()
	last := ""
	for range 3 {
		r, _, err := m.readRoot(ctx, c)
		if err != nil {
			return time.Time{}, err
		}
		if r == nil || r.Snapshot == last {
			break
		}
		if err := f(r, c); !errors.Is(err, errGone) {
			return r.Counted, err
		}
		last = r.Snapshot
	}
	return time.Time{}, ErrNotCounted
}

// Children yields a report for each repository and prefix directly below a prefix, in ascending order of
// their names. after is the Report.Prefix of the last one that the caller has, or "" for the first. It
// makes at most three requests for the first hundred reports, and one more for each further hundred or
// more. A caller that has enough stops.
//
// Errors: as Report, except that a prefix without children may have no repository if after is not empty.
func (m *Meter) Children(ctx context.Context, prefix, after string) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		if prefix != "" {
			if err := registry.CheckName(prefix); err != nil {
				yield(Report{}, err)
				return
			}
		}
		if after != "" && !below(after, prefix) {
			yield(Report{}, errors.New("usage: after is not below the prefix"))
			return
		}
		l := &lister{meter: m, prefix: prefix, after: after, yield: yield}
		if _, err := m.current(ctx, func(r *root, c *call) error { return l.list(ctx, r, c) }); err != nil {
			yield(Report{}, err)
		}
	}
}

// lister lists the children of a prefix. If a snapshot goes in the middle, it continues in the next one.
type lister struct {
	meter         *Meter
	prefix, after string
	yield         func(Report, error) bool
}

// list yields the children in a snapshot.
//
// Errors: registry.ErrNameUnknown; errGone; any error of the driver.
func (l *lister) list(ctx context.Context, r *root, c *call) error {
	from := l.after
	if from == "" {
		from = l.prefix + "/"
		if l.prefix == "" {
			from = ""
		}
	}
	for page := r.page(from); page < len(r.Last); page++ {
		for row, err := range l.meter.rows(ctx, r, page, c) {
			if err != nil {
				return err
			}
			if compareRows(row.prefix, from) <= 0 {
				continue
			}
			if above, _ := split(row.prefix); above != l.prefix {
				if l.after == "" { // a prefix without children
					_, err = l.meter.rowOf(ctx, r, l.prefix, c)
				}
				return err
			}
			l.after = row.prefix
			if !l.yield(row.report(r.Counted), nil) {
				return nil
			}
		}
	}
	if l.after == "" {
		_, err := l.meter.rowOf(ctx, r, l.prefix, c)
		return err
	}
	return nil
}
