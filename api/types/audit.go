package types

import "time"

// AuditRecord is one record of the audit log: something that was done, or that was refused.
type AuditRecord struct {
	// ID is unique.
	ID string `json:"id"`
	// Time is when it happened. For a record with a Count, it is the time of the first.
	Time time.Time `json:"time"`
	// Actor is the name of the caller, or absent for an anonymous one.
	Actor string `json:"actor,omitempty"`
	// Action is what was done or asked for, such as "push" or "delete"; docs/audit.md lists all.
	Action string `json:"action"`
	// Kind is what it was done to: "manifest", "blob", "tag", "repository", "account" or "registry".
	Kind string `json:"kind,omitempty"`
	// Outcome is "allowed" or "denied".
	Outcome string `json:"outcome"`
	// Repository, Tags, Digest, Previous and From describe content; see package notification.
	Repository string   `json:"repository,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	Digest     string   `json:"digest,omitempty"`
	Previous   string   `json:"previous,omitempty"`
	From       string   `json:"from,omitempty"`
	// Name is the account, or the part of the registry, that a request was about.
	Name string `json:"name,omitempty"`
	// Account is the change of accounts.
	Account *AuditChange `json:"account,omitempty"`
	// Accesses are the permissions that a request needed, as "repository:acme/app:push".
	Accesses []string `json:"accesses,omitempty"`
	// Rule is the rule of access that decided.
	Rule string `json:"rule,omitempty"`
	// Reason is why a request was refused, or what else there is to say.
	Reason string `json:"reason,omitempty"`
	// Request is the HTTP request. It is absent if the program did it by itself.
	Request *AuditRequest `json:"request,omitempty"`
	// Instance is the process that recorded it.
	Instance string `json:"instance,omitempty"`
	// Count is how many decisions the record stands for, and Last the time of the last. Absent for
	// one.
	Count int64     `json:"count,omitempty"`
	Last  time.Time `json:"last,omitzero"`
}

// AuditRequest is the HTTP request that an AuditRecord is about.
type AuditRequest struct {
	ID        string `json:"id,omitempty"`
	Method    string `json:"method"`
	Path      string `json:"path,omitempty"`
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
}

// AuditChange is a change of accounts. It has no secrets.
type AuditChange struct {
	// Change is what was done, such as "user.create".
	Change string `json:"change"`
	// Name is the account that it was done to, and ID its ID.
	Name string `json:"name,omitempty"`
	ID   string `json:"id,omitempty"`
	// Team, Member and Secret are the names of what else it is about.
	Team   string `json:"team,omitempty"`
	Member string `json:"member,omitempty"`
	Secret string `json:"secret,omitempty"`
	// Before and After are the values that changed.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Reason is the reason that the actor gave.
	Reason string `json:"reason,omitempty"`
}

// AuditList is a page of the audit log, the newest record first. A page may have fewer records than
// asked for, or none, although another one follows.
type AuditList struct {
	Items []AuditRecord `json:"items"`
}
