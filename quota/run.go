package quota

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	// tick is the time between two looks of Run at what this process knows. It makes no request.
	tick = time.Second
	// settleAfter is how long after a delete Run counts: further deletes often follow.
	settleAfter = 10 * time.Second
	// restFactor is for how many times the duration of a count Run does not count the prefix again because
	// of a delete or a refusal. Otherwise a client that deletes and pushes all the time would keep a
	// large prefix, such as that of the whole registry, being counted all the time.
	restFactor = 9
	// minAge is how old a figure is at least before a refused push makes Run count again.
	minAge = 30 * time.Second
	// keepFor is how long the record of a prefix is kept that the limits do not have any more.
	keepFor = 30 * 24 * time.Hour
)

// Run writes what has ended, and counts prefixes until ctx ends: soon after a delete by way of this
// Quotas, and after [Quotas.Changed]; within half a minute after a refused push; and when a figure is older
// than Options.Every. Deletes and refusals make it count a prefix for a tenth of the time at most. Start
// it on every replica. Without Run, a program calls [Quotas.Recount].
//
// Errors: the error of ctx.
func (q *Quotas) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	sweep := time.Now().Add(rand.N(q.opts.Every/8 + 1))
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
			defer cancel()
			_ = q.Flush(last) // what is not written counts until it expires
			return ctx.Err()
		case <-t.C:
		}
		_ = q.Flush(ctx)
		now := time.Now()
		for _, a := range q.known() {
			if a.due(now) {
				q.countNow(ctx, a)
			}
		}
		if now.After(sweep) {
			q.sweep(ctx)
			sweep = now.Add(q.opts.Every/8 + rand.N(q.opts.Every/8+1))
		}
	}
}

// Changed makes Run count a prefix soon, and all prefixes of this process below it. A program calls it
// with "" after a collection, see storage.ScheduleOptions.Done, so that the figures follow at once.
func (q *Quotas) Changed(prefix string) {
	for _, a := range q.known() {
		if prefix == "" || a.prefix == prefix || strings.HasPrefix(a.prefix, prefix+"/") {
			a.noteDelete()
		}
	}
}

// Flush writes what pushes of this process have added. They count already; it saves the next count from
// counting them twice. Run does so every second.
//
// Errors: the errors of all prefixes, joined.
func (q *Quotas) Flush(ctx context.Context) error {
	var errs []error
	for _, a := range q.known() {
		if err := a.flush(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// known returns the accounts that this process has used.
func (q *Quotas) known() []*account {
	q.mu.Lock()
	defer q.mu.Unlock()
	accounts := make([]*account, 0, len(q.accounts))
	for _, a := range q.accounts {
		accounts = append(accounts, a)
	}
	return accounts
}

// due reports whether a count is due because of what this process has done.
func (a *account) due(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Before(a.rest) {
		return false
	}
	if !a.dirty.IsZero() {
		return now.Sub(a.dirty) > a.q.settleAfter
	}
	return a.refused && a.rec != nil && a.rec.busy(now, a.q.minAge) == nil
}

// errBusy is returned by busy.
var errBusy = errors.New("quota: the figure is new, or is being counted")

// busy returns an error if the prefix was counted within age, or is being counted.
func (r *record) busy(now time.Time, age time.Duration) error {
	if r.Counted != nil && now.Sub(r.Counted.Time) < age || r.Counting != nil && now.Sub(r.Counting.Time) < age {
		return errBusy
	}
	return nil
}

// countNow counts a prefix for Run.
func (q *Quotas) countNow(ctx context.Context, a *account) {
	err := a.count(ctx)
	if q.opts.Counted != nil {
		q.opts.Counted(a.prefix, err)
	}
}

// sweep counts the prefixes whose figure is too old, and removes records that no limit has any more. It
// reads the records that have changed.
func (q *Quotas) sweep(ctx context.Context) {
	for info, err := range q.driver.List(ctx, keyPrefix, nil) {
		if err != nil {
			return // the next sweep comes soon
		}
		a := q.ofKey(info.Key)
		if a == nil {
			if time.Since(info.ModTime) > keepFor {
				_ = q.driver.Delete(ctx, info.Key, info.Version)
			}
			continue
		}
		r, err := a.refresh(ctx)
		if err == nil && r.busy(time.Now(), q.opts.Every) == nil {
			q.countNow(ctx, a)
		}
	}
}
