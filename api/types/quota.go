package types

import "time"

// QuotaAmounts are what a prefix has, or may have. Absent means none, or no limit.
type QuotaAmounts struct {
	Bytes        int64 `json:"bytes,omitempty"`
	Repositories int64 `json:"repositories,omitempty"`
	Manifests    int64 `json:"manifests,omitempty"`
	Tags         int64 `json:"tags,omitempty"`
}

// Quota is the limit of a prefix of repository names, and what is used of it. Resources without a
// limit are absent.
type Quota struct {
	// Prefix is the prefix, or "" for all repositories.
	Prefix string `json:"prefix"`
	// Used is what counts at present. Pending is the part of it that belongs to pushes that have not
	// ended.
	Used    QuotaAmounts `json:"used"`
	Pending QuotaAmounts `json:"pending"`
	// Max is the limit, and Soft the limit that is only reported.
	Max  QuotaAmounts `json:"max"`
	Soft QuotaAmounts `json:"soft"`
	// Counted is when the last count began.
	Counted time.Time `json:"counted,omitzero"`
}

// QuotaList is a page of the list of prefixes to which something was pushed, in their order.
type QuotaList struct {
	Items []Quota `json:"items"`
}

// QuotaLimit is an entry of the configured limits. The first entry that covers a repository
// decides.
type QuotaLimit struct {
	// Prefix is the prefix, "" for all repositories, or a pattern such as "users/*".
	Prefix string       `json:"prefix"`
	Max    QuotaAmounts `json:"max"`
	Soft   QuotaAmounts `json:"soft"`
	// Unlimited states that the prefix has no limit.
	Unlimited bool `json:"unlimited,omitempty"`
}

// QuotaLimitList is a page of the configured limits, in their order.
type QuotaLimitList struct {
	Items []QuotaLimit `json:"items"`
}
