package types

import "time"

// Figures are what a repository or a prefix holds. Sizes are in bytes. Package usage explains each
// of them.
type Figures struct {
	Repositories int64 `json:"repositories"`
	Tags         int64 `json:"tags"`
	Manifests    int64 `json:"manifests"`
	Blobs        int64 `json:"blobs"`
	// Logical is the size of the blobs and manifests, each once. Quotas use it.
	Logical int64 `json:"logical"`
	// Repeated is the sum of Logical over the repositories.
	Repeated int64 `json:"repeated"`
	// Physical is what the content takes in the storage.
	Physical int64 `json:"physical"`
	// Exclusive is the part of Physical that a delete of everything would free. It depends on what
	// other repositories hold, so it is shown only to callers with read access to all usage.
	Exclusive *int64 `json:"exclusive,omitempty"`
	// Unreferenced is the size of the data that no repository has. It is set for the whole storage
	// only.
	Unreferenced int64 `json:"unreferenced,omitempty"`
}

// Usage is what a repository or prefix held at the last count.
type Usage struct {
	// Prefix is the repository or the prefix of names, or "" for the whole storage.
	Prefix string `json:"prefix"`
	// Repository reports whether there is a repository of this name.
	Repository bool `json:"repository"`
	// Children is the number of prefixes and repositories directly below the prefix. It is absent
	// for a repository.
	Children int64   `json:"children,omitempty"`
	Figures  Figures `json:"figures"`
	// Counted is when the count began. Age is the number of seconds since then.
	Counted time.Time `json:"counted"`
	Age     int64     `json:"age"`
	// History are the figures of the last 31 days with a count, the oldest first.
	History []UsageDay `json:"history,omitempty"`
}

// UsageDay are the figures of the last count of a day in UTC.
type UsageDay struct {
	Counted time.Time `json:"counted"`
	Figures Figures   `json:"figures"`
}

// UsageList is a list of usages, without their histories.
type UsageList struct {
	Items []Usage `json:"items"`
}
