package quota

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/bytesize"
)

// ErrExceeded is returned when a push would exceed a limit (403). The client gets the code DENIED, a
// message and a detail with the prefix, the resource, its limit, what is used, and what the push needs.
//
// It does not match registry.ErrDenied: after a mount that the caller may not make, a client may upload
// the blob; after a mount that exceeds a quota, it may not.
var ErrExceeded = registry.NewError("DENIED", http.StatusForbidden, "the quota is exceeded")

// errTooMany is returned when too many pushes below a prefix go on.
var errTooMany = registry.ErrTooManyRequests.WithMessage("too many pushes at a time below this prefix")

// Excess is the detail of an ErrExceeded.
type Excess struct {
	// Prefix is the prefix of repository names whose limit would be exceeded.
	Prefix string `json:"prefix"`
	// Resource is what is limited.
	Resource Resource `json:"resource"`
	// Limit is the limit. Used is what the prefix has, with pushes that are going on. Needed is what
	// the refused push needs in addition.
	Limit  int64 `json:"limit"`
	Used   int64 `json:"used"`
	Needed int64 `json:"needed"`
}

// excess is the error of record.hold for a limit that would be exceeded.
type excess struct {
	resource            Resource
	limit, used, needed int64
}

// Error implements [error].
func (e *excess) Error() string {
	return fmt.Sprintf("%s: %d + %d > %d", e.resource, e.used, e.needed, e.limit)
}

// refusal returns the error for the client.
func (e *excess) refusal(prefix string) error {
	name := "the quota of " + prefix
	if prefix == "" {
		name = "the quota of this registry"
	}
	return ErrExceeded.WithMessage(fmt.Sprintf("%s is exceeded: %s of %s %s are used, and this push needs %s more",
		name, format(e.resource, e.used), format(e.resource, e.limit), unit(e.resource), format(e.resource, e.needed))).
		WithDetail(Excess{Prefix: prefix, Resource: e.resource, Limit: e.limit, Used: e.used, Needed: e.needed})
}

// format returns an amount for people.
func format(r Resource, n int64) string {
	if r != Bytes {
		return strconv.FormatInt(n, 10)
	}
	return bytesize.Format(n)
}

// unit returns what an amount counts, if its form does not show that.
func unit(r Resource) string {
	if r == Bytes {
		return "storage"
	}
	return string(r)
}

// unavailable returns the error of a push whose quota cannot be read or written. A push without a
// known figure is refused.
func unavailable(prefix string, cause error) error {
	return registry.ErrUnavailable.WithMessage(fmt.Sprintf("the quota of %q cannot be determined at present", prefix)).
		WithCause(cause)
}

// uncounted returns the error of a push to a prefix whose first count takes long.
func uncounted(prefix string) error {
	return registry.ErrUnavailable.WithMessage(fmt.Sprintf("the quota of %q is being counted for the first time", prefix)).
		WithRetryAfter(10 * time.Second)
}
