package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/web"
)

// withAudit adds an audit log of all events to a site.
func withAudit(t *testing.T, s *site, manage *api.Options) *audit.Log {
	t.Helper()
	trail, err := audit.New(s.driver, &audit.Options{Instance: "one"})
	require.NoError(t, err)
	manage.Audit = trail
	s.onEvents = func(events []notification.Event) { require.NoError(t, trail.Notify(t.Context(), events)) }
	return trail
}

// newAuditSite starts a site with an audit log.
func newAuditSite(t *testing.T) (*site, *audit.Log) {
	t.Helper()
	var trail *audit.Log
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) { trail = withAudit(t, s, manage) })
	return s, trail
}

// TestAudit: records are found by what was typed, and downloaded.
func TestAudit(t *testing.T) {
	s, _ := newAuditSite(t)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	s.pushImage(t, "bob", "bob/tool", "v1", amd64, "layer")
	r := s.get(t, "boss", "/audit")
	require.Contains(t, r.text, "bob/tool")
	require.Contains(t, r.text, "user.create")
	found := s.submit(t, "boss", r, "form.filters", "actor", "ann", "action", "push", "outcome", "allowed")
	require.Equal(t, http.StatusOK, found.StatusCode)
	require.Contains(t, found.text, "acme/app")
	require.NotContains(t, found.text, "bob/tool")
	require.Equal(t, "ann", found.doc.Find("#actor").AttrOr("value", ""))
	require.Equal(t, "allowed", found.doc.Find("#outcome option[selected]").AttrOr("value", ""))
	file := s.get(t, "boss", strings.TrimPrefix(found.doc.Find("a[download]").AttrOr("href", ""), "/ui"))
	require.Equal(t, http.StatusOK, file.StatusCode)
	require.Equal(t, `attachment; filename="audit.jsonl"`, file.Header.Get("Content-Disposition"))
	for line := range strings.Lines(string(file.body)) {
		var record struct{ Actor, Action string }
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		require.Equal(t, "ann push", record.Actor+" "+record.Action)
	}
	none := s.submit(t, "boss", r, "form.filters", "until", "2020-01-01 12:00")
	require.Contains(t, none.text, "There are no such records")
	day := time.Now().UTC().Format(time.DateOnly)
	require.Contains(t, s.submit(t, "boss", r, "form.filters", "since", day).text, "acme/app")
	long := s.submit(t, "boss", r, "form.filters", "since", "2020-01-01")
	require.Zero(t, long.doc.Find("a[download]").Length(), "a file has at most 31 days")
	for _, typed := range append([]string{"yesterday", "0001-01-01", "99999-01-01"}, hostile[:7]...) {
		wrong := s.submit(t, "boss", r, "form.filters", "since", typed)
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode, typed)
		require.Equal(t, "problem", wrong.doc.Find("#since").AttrOr("aria-describedby", ""))
		require.Equal(t, http.StatusBadRequest, s.get(t, "boss", "/audit/export?since="+url.QueryEscape(typed)).StatusCode)
	}
}

// TestAuditOfARepository: the managers of a repository read its records, and no others.
func TestAuditOfARepository(t *testing.T) {
	s, _ := newAuditSite(t)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	own := s.get(t, "ann", "/audit?repository=acme/app")
	require.Equal(t, http.StatusOK, own.StatusCode)
	require.Contains(t, own.text, "acme/app")
	target := strings.TrimPrefix(own.doc.Find("a[download]").AttrOr("href", ""), "/ui")
	require.Equal(t, http.StatusOK, s.get(t, "ann", target).StatusCode)
	for _, path := range []string{"/audit", "/audit?repository=acme/app", "/audit?repository=UPPER", target} {
		require.Equal(t, http.StatusNotFound, s.get(t, "bob", path).StatusCode, path)
		require.Equal(t, http.StatusUnauthorized, s.get(t, "", path).StatusCode, path)
	}
}

// TestHostileAudit: what clients send shows as text, in pages.
func TestHostileAudit(t *testing.T) {
	s, trail := newAuditSite(t)
	var events []notification.Event
	for i := range 60 {
		text := hostile[i%len(hostile)]
		events = append(events, notification.Event{ID: notification.NewID(), Time: time.Now(), Action: notification.Push,
			Kind: notification.Manifest, Repository: "acme/app", Actor: text, Tags: []string{fmt.Sprint("t", i), text},
			Request: &notification.Request{ID: text, Method: "PUT", RemoteAddr: text, UserAgent: text}})
	}
	require.NoError(t, trail.Notify(t.Context(), events))
	r := s.get(t, "boss", "/audit?action=push")
	require.Equal(t, 50, r.doc.Find("tbody tr").Length())
	require.NotContains(t, string(r.body), "\u202e")
	require.Contains(t, r.text, "<script>alert(1)</script>")
	second := s.get(t, "boss", "/audit"+r.doc.Find("a[rel=next]").AttrOr("href", ""))
	require.Equal(t, 10, second.doc.Find("tbody tr").Length())
}
