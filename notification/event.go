package notification

import (
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Action is what happened in an [Event]. The first four are those of the CNCF registry. Later
// versions may add actions, for example about accounts, quotas and jobs: ignore unknown ones.
type Action string

const (
	// Push means that a blob was committed, or that a manifest was pushed: one event for the
	// manifest and all its tags.
	Push Action = "push"
	// Pull means that a manifest or blob was read. A HEAD request is not a pull.
	Pull Action = "pull"
	// Mount means that a blob of another repository was added to this one.
	Mount Action = "mount"
	// Delete means that a blob, manifest, tag or repository was deleted.
	Delete Action = "delete"
	// Move means that a push or restore pointed an existing tag at another manifest. It follows the
	// event of that push or restore, one event for each such tag.
	Move Action = "move"
	// Restore means that a manifest came back from the history, or that a tag points at an earlier
	// manifest again: one event for the manifest and the tags that were set.
	Restore Action = "restore"
	// Missing means that the outbox has removed events which the receiver had not accepted, see
	// [Gap]. It is not about one repository.
	Missing Action = "missing"
	// Quota means that a prefix of repository names has exceeded a soft limit, see [Limit] and package
	// quota. It is not about one repository.
	Quota Action = "quota"
	// Account means that something about accounts has changed, see [Event.Account] and package accounts. It is
	// about a repository if that is set.
	Account Action = "account"
)

// Kind is the kind of content that an [Event] is about.
type Kind string

// The kinds of content.
const (
	Manifest   Kind = "manifest"
	Blob       Kind = "blob"
	Tag        Kind = "tag"
	Repository Kind = "repository"
)

// Event describes one operation that succeeded. Its JSON form is the one in docs/events.md; fields
// are only ever added to it.
type Event struct {
	// ID is a UUID of version 7 (RFC 9562). It is unique, and the same for every sink and every
	// attempt to deliver the event, so receivers can drop duplicates by it. IDs of one process
	// ascend in the order in which the events were made.
	ID string `json:"id"`
	// Time is when the operation succeeded, by the clock of the process.
	Time time.Time `json:"time"`
	// Action is what happened.
	Action Action `json:"action"`
	// Kind is the kind of content that it happened to. It is Manifest for a push of a manifest with
	// tags, and Tag for Move and for the delete of a tag. It is "" for Missing, Quota and Account.
	Kind Kind `json:"kind,omitempty"`
	// Repository is the repository of the operation.
	Repository string `json:"repository,omitempty"`
	// Target is the manifest or blob. For a deleted tag, it is the manifest that the tag pointed
	// at. Deletes of blobs, and those of a Backend that does not report what it deleted, may lack
	// the media type, the size or all of it. It is nil if a repository was deleted.
	Target *ocispec.Descriptor `json:"target,omitempty"`
	// Tags are the tags that were set, deleted or read by name. A delete of a manifest lists the
	// tags that were removed with it.
	Tags []string `json:"tags,omitempty"`
	// Previous is the digest of the manifest that the tag of a Move pointed at before.
	Previous digest.Digest `json:"previous,omitempty"`
	// From is the repository that a blob was mounted from, or "" if it is not known.
	From string `json:"from,omitempty"`
	// Actor is the name of the identity that performed the operation, or "" if anonymous.
	Actor string `json:"actor,omitempty"`
	// Request describes the HTTP request. It is nil for a call from Go code.
	Request *Request `json:"request,omitempty"`
	// Instance is the name of the process that performed the operation, registry.Options.Instance.
	Instance string `json:"instance,omitempty"`
	// Count is the number of pulls that this event stands for, if package filter samples or
	// aggregates them. Zero means one.
	Count int `json:"count,omitempty"`
	// Found marks an event that outbox.Reindex made for a change whose own event was lost in a
	// crash. Time is the time of the change. Actor and Request are not known.
	Found bool `json:"found,omitempty"`
	// Gap describes the events of which Missing informs. It is nil for all other actions.
	Gap *Gap `json:"gap,omitempty"`
	// Limit is the soft limit that was exceeded. It is nil for all actions but Quota.
	Limit *Limit `json:"limit,omitempty"`
	// Account is the change of accounts. It is nil for all actions but Account.
	Account *AccountChange `json:"account,omitempty"`
}

// Request describes the HTTP request that caused an [Event].
type Request struct {
	// ID identifies the request, see registry.Options.RequestID.
	ID string `json:"id,omitempty"`
	// Method is the HTTP method.
	Method string `json:"method"`
	// Host is the Host header.
	Host string `json:"host,omitempty"`
	// RemoteAddr is the address of the client, with a port if it is known: the peer of the
	// connection, or the client that a trusted proxy names, see middleware.Forwarded.
	RemoteAddr string `json:"remoteAddr,omitempty"`
	// UserAgent is the User-Agent header.
	UserAgent string `json:"userAgent,omitempty"`
}

// Gap describes events that a receiver will never get, because the outbox reached a limit.
type Gap struct {
	// Stream is the stream of the events, see package outbox.
	Stream string `json:"stream"`
	// Events is the number of missing events. If it is not known, it is -1.
	Events int64 `json:"events"`
	// First and Last are the times of the first and the last missing event.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Reason is the limit that was reached: "age", "count" or "bytes"; or "corrupt" for an object
	// of the outbox that cannot be read.
	Reason string `json:"reason"`
}

// Limit describes a soft limit that a prefix of repository names has exceeded.
type Limit struct {
	// Prefix is the prefix, or "" for all repositories together.
	Prefix string `json:"prefix"`
	// Resource is what is limited: "bytes", "repositories", "manifests" or "tags".
	Resource string `json:"resource"`
	// Used is what the prefix has, Soft the soft limit, and Max the limit beyond which pushes are
	// refused, or 0.
	Used int64 `json:"used"`
	Soft int64 `json:"soft"`
	Max  int64 `json:"max,omitempty"`
}

// AccountChange describes a change of accounts. It has no secrets.
type AccountChange struct {
	// Change says what was done, such as "user.create"; docs/identity.md lists all of them.
	Change string `json:"change"`
	// Name is the account that it was done to, and ID its ID.
	Name string `json:"name,omitempty"`
	ID   string `json:"id,omitempty"`
	// Team, Member and Secret are the names of what else it is about.
	Team   string `json:"team,omitempty"`
	Member string `json:"member,omitempty"`
	Secret string `json:"secret,omitempty"`
	// Before and After are the values that changed, as texts.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Reason is the reason that the actor gave.
	Reason string `json:"reason,omitempty"`
}

// String returns the event in JSON.
func (e Event) String() string {
	b, err := json.Marshal(e)
	if err != nil {
		return "event " + e.ID + ": " + err.Error()
	}
	return string(b)
}
