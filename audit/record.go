package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
)

// The outcomes.
const (
	Allowed = "allowed"
	Denied  = "denied"
)

// Actions of records beside those of events (package notification) and of accesses (package auth).
const (
	// Login is a login at a sign-in page or token service, or wrong credentials anywhere.
	Login = "login"
	// Request is a change by the management API that makes no event. Request.Method and Request.Path
	// say which.
	Request = "request"
	// Damaged stands for an object of the log that cannot be read. Every query that includes its last
	// time returns it, whatever else it selects.
	Damaged = "damaged"
)

// Limits of the texts of a record, in bytes. Clients choose some of these texts.
const (
	maxText     = 512
	maxID       = 128
	maxAccesses = 16
)

// Record is one record of the log. Its JSON form has one line in an export, and fields are only
// ever added to it.
type Record struct {
	// ID is unique. That of an event is notification.Event.ID.
	ID string `json:"id"`
	// Time is when it happened, by the clock of the process where it happened. Of a record with a
	// Count, it is the time of the first decision.
	Time time.Time `json:"time"`
	// Actor is the name of the caller, or "" for an anonymous one.
	Actor string `json:"actor,omitempty"`
	// Action is that of the event, that of the first access of a decision, or one of Login, Request
	// and Damaged.
	Action string `json:"action"`
	// Kind is a notification.Kind or a type of package auth: "manifest", "blob", "tag", "repository",
	// "account" or "registry".
	Kind string `json:"kind,omitempty"`
	// Outcome is Allowed or Denied.
	Outcome string `json:"outcome"`
	// Repository, Tags, Digest, Previous and From are those of the event or of the accesses.
	Repository string        `json:"repository,omitempty"`
	Tags       []string      `json:"tags,omitempty"`
	Digest     digest.Digest `json:"digest,omitempty"`
	Previous   digest.Digest `json:"previous,omitempty"`
	From       string        `json:"from,omitempty"`
	// Name is the account or the part of the registry that it is about.
	Name string `json:"name,omitempty"`
	// Account is the change of accounts, or nil.
	Account *notification.AccountChange `json:"account,omitempty"`
	// Accesses are the permissions that a request needed, in the form of auth.Access.String, at most
	// 16.
	Accesses []string `json:"accesses,omitempty"`
	// Rule is the rule that decided.
	Rule string `json:"rule,omitempty"`
	// Reason is why a request was refused: "credentials", "denied", "scope", "limit", "unavailable" or
	// "error". For other records, it is what else there is to say.
	Reason string `json:"reason,omitempty"`
	// Request is the HTTP request, or nil.
	Request *HTTPRequest `json:"request,omitempty"`
	// Instance is the name of the process.
	Instance string `json:"instance,omitempty"`
	// Count is the number of decisions that the record stands for, and Last the time of the last one.
	// Both are zero for one decision.
	Count int64     `json:"count,omitempty"`
	Last  time.Time `json:"last,omitzero"`
}

// HTTPRequest describes an HTTP request.
type HTTPRequest struct {
	// ID identifies the request, see registry.Options.RequestID.
	ID string `json:"id,omitempty"`
	// Method is the method. Path is the path without the query and without the ID of an upload. Events
	// have no path.
	Method string `json:"method"`
	Path   string `json:"path,omitempty"`
	// Address is the IP address of the client. UserAgent is that header.
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
}

// fromEvent returns the record of an event. ok is false for an event that is not recorded.
func fromEvent(e notification.Event) (r Record, ok bool) {
	if e.Action == notification.Pull {
		return Record{}, false
	}
	r = Record{
		ID: e.ID, Time: e.Time, Actor: e.Actor, Action: string(e.Action), Kind: string(e.Kind), Outcome: Allowed,
		Repository: e.Repository, Tags: e.Tags, Previous: e.Previous, From: e.From, Account: e.Account,
		Instance: e.Instance,
	}
	if e.Target != nil {
		r.Digest = e.Target.Digest
	}
	if e.Account != nil {
		r.Kind, r.Name = auth.TypeAccount, e.Account.Name
	}
	switch {
	case e.Gap != nil:
		r.Reason = fmt.Sprintf("%d events from %s to %s are missing: %s", e.Gap.Events,
			e.Gap.First.UTC().Format(time.RFC3339), e.Gap.Last.UTC().Format(time.RFC3339), e.Gap.Reason)
	case e.Limit != nil:
		r.Name = e.Limit.Prefix
		r.Reason = fmt.Sprintf("%s: %d of %d used", e.Limit.Resource, e.Limit.Used, e.Limit.Soft)
	case e.Found:
		r.Reason = "found after a crash, the actor is not known"
	}
	if q := e.Request; q != nil {
		r.Request = &HTTPRequest{ID: q.ID, Method: q.Method, Address: address(q.RemoteAddr), UserAgent: q.UserAgent}
	}
	return r, true
}

// fromDecision returns the record of a decision, without ID and time.
func fromDecision(d auth.Decision) Record {
	r := Record{Actor: d.Identity.Name, Action: Login, Outcome: Allowed, Rule: d.Rule}
	if !d.Allowed {
		r.Outcome, r.Reason = Denied, reason(d.Err)
	}
	if d.Method != "" {
		r.Request = &HTTPRequest{Method: d.Method, Path: d.Path, Address: address(d.RemoteAddr), UserAgent: d.UserAgent}
	}
	for i, a := range d.Accesses {
		if i == 0 {
			r.Action, r.Kind = string(a.Action), a.Type
		}
		if a.Type == auth.TypeRepository && r.Repository == "" {
			r.Repository = a.Name
		}
		if a.Type != auth.TypeRepository && r.Name == "" {
			r.Name = a.Name
		}
		if i < maxAccesses {
			r.Accesses = append(r.Accesses, limited(a.String()))
			if a.Tag != "" && a.Name == r.Repository {
				r.Tags = appendNew(r.Tags, a.Tag)
			}
		}
	}
	return r
}

// appendNew appends a text that the list does not have.
func appendNew(list []string, text string) []string {
	for _, have := range list {
		if have == text {
			return list
		}
	}
	return append(list, text)
}

// reason returns a word for the error of a decision. The text of an error of a host could contain a
// credential.
func reason(err error) string {
	var limit *auth.LimitError
	var unavailable *auth.UnavailableError
	switch {
	case errors.Is(err, auth.ErrCredentials):
		return "credentials"
	case errors.As(err, &limit):
		return "limit"
	case errors.Is(err, auth.ErrScope):
		return "scope"
	case errors.Is(err, auth.ErrDenied):
		return "denied"
	case errors.As(err, &unavailable):
		return "unavailable"
	}
	return "error"
}

// address returns the IP address of a network address.
func address(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// limited returns a text of a client, cut and without invalid UTF-8.
func limited(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// complete fills in what a record must have, and cuts long texts.
func (r *Record) complete(now time.Time, instance string) {
	if r.ID == "" {
		r.ID = notification.NewID()
	}
	if len(r.ID) > maxID {
		sum := sha256.Sum256([]byte(r.ID))
		r.ID = hex.EncodeToString(sum[:])
	}
	if y := r.Time.Year(); y < 1970 || y > 9998 {
		r.Time = now
	}
	r.Time = r.Time.UTC().Round(0)
	if !r.Last.IsZero() {
		r.Last = r.Last.UTC().Round(0)
	}
	if r.Outcome == "" {
		r.Outcome = Allowed
	}
	if r.Instance == "" {
		r.Instance = instance
	}
	for _, text := range []*string{&r.Actor, &r.Action, &r.Kind, &r.Repository, &r.From, &r.Name, &r.Rule, &r.Reason} {
		*text = limited(*text)
	}
	if q := r.Request; q != nil {
		r.Request = &HTTPRequest{ID: limited(q.ID), Method: limited(q.Method), Path: limited(q.Path),
			Address: limited(q.Address), UserAgent: limited(q.UserAgent)}
	}
}

// newer reports whether r comes before other in the answer of a query: the newest record first.
func (r *Record) newer(other *Record) bool {
	if !r.Time.Equal(other.Time) {
		return r.Time.After(other.Time)
	}
	return r.ID > other.ID
}
