package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/retention"
)

// partErrors are the errors of the packages behind the parts, with the statuses and codes of their
// responses.
var partErrors = []struct {
	err  error
	wire *registry.Error
	// reason shows clients also the text that the package has added to err. It must contain nothing
	// that the caller may not see.
	reason bool
}{
	{accounts.ErrUnknown, errNotFound, true},
	{accounts.ErrTaken, registry.NewError("TAKEN", http.StatusConflict, ""), true},
	{accounts.ErrInvalid, errInvalid, true},
	{accounts.ErrLast, registry.NewError("LAST", http.StatusConflict, ""), true},
	{accounts.ErrInUse, errInUse, true},
	{accounts.ErrSetup, registry.NewError("WRONG_SETUP_TOKEN", http.StatusForbidden, ""), true},
	{accounts.ErrLimit, errLimit, true},
	{accounts.ErrNotified, errNotRecorded, false}, // the cause is that of the sink
	{endpoints.ErrUnknown, errNotFound, true},
	{endpoints.ErrInvalid, errInvalid, true},
	{endpoints.ErrLimit, errLimit, true},
	{endpoints.ErrRetrying, registry.NewError("RETRYING", http.StatusConflict, ""), true},
	{endpoints.ErrBusy, registry.NewError("BUSY", http.StatusConflict, ""), true},
	{jobs.ErrUnknown, errNotFound, false},
	{jobs.ErrNotRunning, registry.NewError("NOT_RUNNING", http.StatusConflict, ""), false},
	{quota.ErrNoLimit, errNotFound, false},
	{retention.ErrOtherStorage, registry.NewError("OTHER_STORAGE", http.StatusConflict, ""), false},
	{audit.ErrCursor, errInvalid, false},
	{notification.ErrNotRecorded, errNotRecorded, false},
}

// partError returns the error of a part as the client sees it, or nil for any other error. Its
// message is the text of the error without the name of the package.
func partError(err error) *registry.Error {
	for _, e := range partErrors {
		if !errors.Is(err, e.err) {
			continue
		}
		message := e.err.Error()
		if e.reason {
			message = lineWith(err.Error(), message)
		}
		name, _, _ := strings.Cut(e.err.Error(), ": ")
		return e.wire.WithMessage(strings.TrimPrefix(message, name+": ")).WithCause(err)
	}
	if plan := (*retention.PlanError)(nil); errors.As(err, &plan) {
		return errInvalid.WithMessage(plan.Error()).WithCause(err)
	}
	return nil
}

// lineWith returns the first line of a text that contains another text, which has no line break.
// The other lines are for the log: errors.Join may have added an error of the storage.
func lineWith(text, contained string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Contains(line, contained) {
			return line
		}
	}
	return contained
}
