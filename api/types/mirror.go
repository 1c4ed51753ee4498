package types

import "time"

// Mirror is the state of the mirror in the replica that answered. The counters begin at the start
// of its process.
type Mirror struct {
	Upstreams []Upstream `json:"upstreams"`
	// Hits and Misses count what was served from the store, and what caused a request to an upstream.
	// Stale counts the answers that an upstream could not confirm.
	Hits   int64 `json:"hits"`
	Misses int64 `json:"misses"`
	Stale  int64 `json:"stale"`
	// Served and Fetched are the bytes of blobs served, and fetched from upstreams.
	Served  int64 `json:"served"`
	Fetched int64 `json:"fetched"`
	// Fills and Readers are the fetches in progress and their readers.
	Fills   int64 `json:"fills"`
	Readers int64 `json:"readers"`
	// Size is the size of the cached blobs as of SizeAt, and Evicted counts the bytes evicted.
	Size    int64     `json:"size"`
	SizeAt  time.Time `json:"sizeAt,omitzero"`
	Evicted int64     `json:"evicted"`
}

// Upstream is a registry that the mirror pulls from. It has no credentials.
type Upstream struct {
	Name   string `json:"name"`
	Prefix string `json:"prefix"`
	// Aliases and Hosts are other names of it, and URLs its addresses without credentials.
	Aliases []string `json:"aliases"`
	Hosts   []string `json:"hosts"`
	URLs    []string `json:"urls"`
	// PassThrough reports whether the credentials of the caller are used.
	PassThrough bool `json:"passThrough"`
	// TagTTL is how long a tag is served without asking, in seconds. Absent means: not at all.
	TagTTL int64 `json:"tagTTL,omitempty"`
	// Allow and Deny are patterns of repositories that may and may not be pulled.
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
	// Requests counts requests, such as "GET blob", and Errors counts failures, such as "timeout".
	Requests map[string]int64 `json:"requests"`
	Errors   map[string]int64 `json:"errors"`
	// Limit and Remaining are the last values of Docker Hub's limit of pulls. Absent if there were
	// none.
	Limit     *int64 `json:"limit,omitempty"`
	Remaining *int64 `json:"remaining,omitempty"`
	// Until is when the upstream may be asked again after it has refused further requests.
	Until time.Time `json:"until,omitzero"`
	// Down reports whether the upstream does not respond at present.
	Down bool `json:"down"`
}

// Refresh asks the upstream for tags now.
type Refresh struct {
	// Repository is the repository in the mirror, such as "docker.io/library/alpine".
	Repository string `json:"repository"`
	// Tag is the tag. Absent means all tags of the repository that the mirror has.
	Tag string `json:"tag,omitempty"`
}

// Refreshed is the result of a Refresh.
type Refreshed struct {
	// Changed is the number of tags that have changed.
	Changed int `json:"changed"`
}

// Pin keeps an image of an upstream from eviction.
type Pin struct {
	Repository string `json:"repository"`
	// Reference is a tag or a digest.
	Reference string `json:"reference"`
}

// PinList is a page of the list of pins.
type PinList struct {
	Items []Pin `json:"items"`
}
