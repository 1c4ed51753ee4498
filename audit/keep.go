package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage/driver"
)

// JobName is the name of the job that [Log.Job] returns.
const JobName = "audit"

const (
	// small is the size below which objects are merged, in bytes. mergeFrom is the least number of
	// them in a day.
	small     = maxObject / 4
	mergeFrom = 16
	// mergeDays is the number of days whose objects are merged. Events rarely arrive later.
	mergeDays = 8
	// settle is how long the objects of a merge stay beside the merged one. A list that began before
	// the merge may lack the merged object, and ends within this time.
	settle = 10 * time.Minute
)

// Kept is the result of the job of [Log.Job].
type Kept struct {
	// Removed is the number of objects whose records were older than Options.Keep.
	Removed int64 `json:"removed"`
	// Merged is the number of objects that were merged, and Into the number of objects that they
	// became.
	Merged int64 `json:"merged"`
	Into   int64 `json:"into"`
}

// Job returns the job that removes records older than Options.Keep and merges small objects, for a
// jobs.Runner; see package jobs. An interval of zero runs it only on request. A run that merges
// takes ten minutes, of which it sleeps most: the merged objects stay that long beside the old
// ones, for queries that go on. Two runs at once, or a killed one, do no harm: records are then
// stored twice, and returned once. The result of the job is a Kept.
//
// Without the job, the log works, grows, and becomes slow.
func (l *Log) Job(every time.Duration) jobs.Job {
	run := func(ctx context.Context, _ *jobs.Progress) (any, error) { return l.keep(ctx) }
	return jobs.Job{Name: JobName, Every: every, FreesSpace: true, Run: run}
}

// keep is a run of the job.
func (l *Log) keep(ctx context.Context) (Kept, error) {
	removed, err := l.expire(ctx, time.Now())
	if err != nil {
		return Kept{Removed: removed}, err
	}
	kept, old, err := l.merge(ctx, time.Now())
	kept.Removed = removed
	if err != nil || len(old) == 0 {
		return kept, err
	}
	if err := pause.Sleep(ctx, settle); err != nil {
		return kept, err
	}
	return kept, l.remove(ctx, old)
}

// expire removes objects whose records are older than Options.Keep, and that were written that long
// ago.
func (l *Log) expire(ctx context.Context, now time.Time) (removed int64, err error) {
	oldest := now.Add(-l.opts.Keep)
	for info, err := range l.driver.List(ctx, prefix, nil) {
		if err != nil {
			return removed, err
		}
		if info.Key >= prefix+day(oldest) {
			break
		}
		o, ok := parseKey(info)
		if !ok || !o.last.Before(oldest) || !info.ModTime.Before(oldest) {
			continue
		}
		if err := l.remove(ctx, []string{info.Key}); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// remove removes objects. A missing object is not an error.
func (l *Log) remove(ctx context.Context, keys []string) error {
	return parallel.Each(width, len(keys), func(i int) error {
		if err := l.driver.Delete(ctx, keys[i], ""); !errors.Is(err, driver.ErrNotExist) {
			return err
		}
		return nil
	})
}

// merge writes the records of small objects again, in larger ones. It returns the keys of the small
// ones, which the caller removes later.
func (l *Log) merge(ctx context.Context, now time.Time) (kept Kept, old []string, err error) {
	for n := range mergeDays {
		d := day(now.AddDate(0, 0, -n))
		objects, err := l.list(ctx, d, time.Time{}, now.AddDate(1, 0, 0))
		if err != nil {
			return kept, old, err
		}
		objects = slices.DeleteFunc(objects, func(o object) bool {
			return o.Size >= small || o.ModTime.After(now.Add(-settle))
		})
		for _, group := range groups(objects) {
			keys, into, err := l.mergeGroup(ctx, group)
			if err != nil {
				return kept, old, err
			}
			old = append(old, keys...)
			kept.Merged += int64(len(keys))
			kept.Into += into
		}
	}
	return kept, old, nil
}

// groups divides objects into those that are merged together: neighbours, of maxObject together.
func groups(objects []object) (all [][]object) {
	if len(objects) < mergeFrom {
		return nil
	}
	slices.SortFunc(objects, func(a, b object) int { return strings.Compare(a.Key, b.Key) })
	size, from := int64(0), 0
	for i, o := range objects {
		if size += o.Size; size > maxObject && i > from {
			all = append(all, objects[from:i])
			size, from = o.Size, i
		}
	}
	return append(all, objects[from:])
}

// mergeGroup writes the records of objects again. It leaves damaged objects alone.
func (l *Log) mergeGroup(ctx context.Context, objects []object) (keys []string, into int64, err error) {
	if len(objects) < 2 {
		return nil, 0, nil
	}
	read := make([][]entry, len(objects))
	err = parallel.Each(width, len(objects), func(i int) (err error) {
		read[i], err = l.entries(ctx, objects[i])
		if errors.Is(err, errDamaged) || errors.Is(err, driver.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	var all []entry
	for i, entries := range read {
		if entries != nil {
			all, keys = append(all, entries...), append(keys, objects[i].Key)
		}
	}
	if len(keys) < 2 {
		return nil, 0, nil
	}
	slices.SortFunc(all, func(a, b entry) int { return order(*a.record(), *b.record()) })
	all = slices.CompactFunc(all, func(a, b entry) bool { return bytes.Equal(a.line, b.line) })
	return keys, 1, l.store(ctx, all)
}

// entries returns the records of an object, as they are stored.
//
// Errors: errDamaged, also if a line is not a record; those of read.
func (l *Log) entries(ctx context.Context, o object) ([]entry, error) {
	lines, err := l.read(ctx, o)
	if err != nil {
		return nil, err
	}
	all := make([]entry, len(lines))
	for i, line := range lines {
		all[i].line = line
		if err := json.Unmarshal(line, &all[i]); err != nil {
			return nil, errDamaged
		}
	}
	return all, nil
}
