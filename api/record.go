package api

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/audit"
)

// recordedParts are the parts whose changes make no event. A change of accounts or repositories
// makes one, which reaches the audit log by the sink of the host.
func recordedParts() []string {
	return []string{"jobs", "mirror", "quota", "retention", "scrub", "sessions", "webhooks"}
}

// record stores an audit record of a change that a route has made, if the part of the route makes
// no events. It returns after the record is durable, and so before the response.
//
// Errors: an error that wraps notification.ErrNotRecorded.
func (a *API) record(q *request, r *route) error {
	if a.opts.Audit == nil || r.method == http.MethodGet || q.unchanged || !slices.Contains(recordedParts(), r.part) {
		return nil
	}
	host, _, err := net.SplitHostPort(q.RemoteAddr)
	if err != nil {
		host = q.RemoteAddr
	}
	rec := audit.Record{
		Actor: q.caller.Identity().Name, Action: audit.Request, Kind: "registry", Name: r.part, Outcome: audit.Allowed,
		Request: &audit.HTTPRequest{Method: q.Method, Path: registry.LogPath(q.Request), Address: host,
			UserAgent: q.UserAgent()},
	}
	if strings.Contains(r.path, "{repository}") {
		rec.Repository = q.param("repository")
	}
	return a.opts.Audit.Add(context.WithoutCancel(q.Context()), rec)
}
