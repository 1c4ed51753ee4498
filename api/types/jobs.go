package types

import (
	"encoding/json"
	"time"
)

// Job is the state of a background job of all replicas.
type Job struct {
	Name string `json:"name"`
	// Here reports whether the replica that answered can run the job.
	Here bool `json:"here"`
	// Every is the time between two runs, in seconds. Absent for a job that runs only on request.
	Every int64 `json:"every,omitempty"`
	// Running reports whether a run is going on, and Holder is the process of the present or last run.
	Running bool   `json:"running"`
	Holder  string `json:"holder,omitempty"`
	// Started is when that run began, and Progress what it has done so far.
	Started  time.Time       `json:"started,omitzero"`
	Progress json.RawMessage `json:"progress,omitempty"`
	// Requested is when a run was requested that has not begun yet.
	Requested time.Time `json:"requested,omitzero"`
	// Ended is when the last run ended, and Result what it returned. Its form depends on the job.
	Ended  time.Time       `json:"ended,omitzero"`
	Result json.RawMessage `json:"result,omitempty"`
	// Error is the error of that run, and Failures the number of runs that have failed since one
	// succeeded.
	Error    string `json:"error,omitempty"`
	Failures int    `json:"failures,omitempty"`
	// Next is when the next run is due. Absent if the job is running, or runs only on request.
	Next time.Time `json:"next,omitzero"`
}

// JobList is a page of the list of jobs, by name.
type JobList struct {
	Items []Job `json:"items"`
}
