package jobs

import "time"

// never is the wait for a job that runs only on request.
const never = time.Duration(-1)

const (
	// maxOldLease is the maximum time to wait for the end of a lease of an earlier version.
	maxOldLease = time.Minute
	// maxLease limits the lease times that others have written.
	maxLease = time.Hour
	// firstRetry and lastRetry bound the time from a failed run to the next one.
	firstRetry = time.Minute
	lastRetry  = time.Hour
)

// wait returns how long to wait before a run may start, if the record does not change meanwhile: a
// replica counts from when it has first seen this version of the record. It returns never if the
// job must not run before the record changes.
func (r *record) wait(every time.Duration, now time.Time) time.Duration {
	switch {
	case r.held() && r.Run != "":
		return r.waitForHolder(every, now)
	case r.held(): // by an earlier version, whose clock counts
		if idle := r.waitForNext(every, now); idle != 0 {
			return idle
		}
		return max(0, min(r.Until.Sub(now), maxOldLease))
	}
	return r.waitForNext(every, now)
}

// waitForHolder returns when the run is due again, should its holder be dead.
func (r *record) waitForHolder(every time.Duration, now time.Time) time.Duration {
	lease := max(min(time.Duration(r.Lease), maxLease), time.Second)
	switch {
	case r.Start != nil:
		return lease
	case r.Cancel == r.Run && every == 0:
		return never
	case r.Cancel == r.Run:
		return max(lease, min(r.Started.Add(every).Sub(now), every))
	case r.Failures > 0: // the job may have killed its process
		retry := retryAfter(r.Failures, every)
		return max(lease, min(r.Started.Add(retry).Sub(now), retry))
	}
	return lease
}

// waitForNext returns when the next run is due if nobody runs the job.
func (r *record) waitForNext(every time.Duration, now time.Time) time.Duration {
	switch {
	case r.Start != nil:
		return 0
	case every == 0:
		return never
	case r.Failures > 0:
		retry := retryAfter(r.Failures, every)
		return max(0, min(r.Ended.Add(retry).Sub(now), retry))
	}
	return max(0, min(r.Done.Add(every).Sub(now), every))
}

// retryAfter returns the time from a failed run to the next one. failures is at least 1.
func retryAfter(failures int, every time.Duration) time.Duration {
	retry := min(firstRetry<<min(failures-1, 10), lastRetry)
	if every > 0 {
		retry = min(retry, every)
	}
	return retry
}
