package log_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/log"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// full has every field.
var full = notification.Event{
	ID: "01", Time: at, Action: notification.Push, Kind: notification.Manifest, Repository: "shop/cart",
	Target: &ocispec.Descriptor{MediaType: "application/x", Digest: "sha256:1", Size: 7, ArtifactType: "application/y"},
	Tags:   []string{"v1"}, Previous: "sha256:0", From: "base", Actor: "ann", Instance: "a", Count: 3, Found: true,
	Request: &notification.Request{ID: "r", Method: "PUT", Host: "h", RemoteAddr: "10.0.0.1:1", UserAgent: "docker"},
	Gap:     &notification.Gap{Stream: "s", Events: -1, First: at, Last: at, Reason: "age"},
	Account: &notification.AccountChange{Change: "c", Name: "n", ID: "i", Team: "t", Member: "m", Secret: "s", Before: "b",
		After: "a", Reason: "r"},
}

// lines returns the records of a sink as JSON objects.
func lines(t *testing.T, o *log.Options, min slog.Level, events ...notification.Event) []map[string]any {
	t.Helper()
	var buf bytes.Buffer
	l := slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: min}))
	require.NoError(t, log.New(l, o).Notify(t.Context(), events))
	var list []map[string]any
	for line := range strings.Lines(buf.String()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		list = append(list, m)
	}
	return list
}

// TestLogWritesEveryField also checks that the names and their order are those of the package
// comment.
func TestLogWritesEveryField(t *testing.T) {
	full := full
	full.Tags = strings.Split(strings.Repeat("v1,", 40)+"v1", ",")
	got := lines(t, nil, slog.LevelInfo, full)[0]
	delete(got, "time")
	tags := make([]any, 32)
	for i := range tags {
		tags[i] = "v1"
	}
	want := map[string]any{
		"level": "INFO", "msg": "event", "event": "01", "at": "2026-01-02T03:04:05Z", "action": "push", "kind": "manifest",
		"repository": "shop/cart", "digest": "sha256:1", "mediaType": "application/x", "artifactType": "application/y",
		"size": 7.0, "tags": tags, "moreTags": 9.0, "previous": "sha256:0", "from": "base", "actor": "ann",
		"request": map[string]any{"id": "r", "method": "PUT", "host": "h", "remoteAddr": "10.0.0.1:1",
			"userAgent": "docker"},
		"instance": "a", "count": 3.0, "found": true,
		"gap": map[string]any{"stream": "s", "events": -1.0, "first": "2026-01-02T03:04:05Z", "last": "2026-01-02T03:04:05Z",
			"reason": "age"},
		"account": map[string]any{"change": "c", "name": "n", "id": "i", "team": "t", "member": "m", "secret": "s",
			"before": "b", "after": "a", "reason": "r"},
	}
	require.Equal(t, want, got)

	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	var buf bytes.Buffer
	sink := log.New(slog.New(slog.NewTextHandler(&buf, nil)), nil)
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{full}))
	after := 0
	for _, m := range regexp.MustCompile(`(?m)^//\t(\w+) `).FindAllSubmatch(doc, -1) {
		i := regexp.MustCompile(fmt.Sprintf(` %s[=.]`, m[1])).FindStringIndex(buf.String())
		require.NotNil(t, i, "%s", m[1])
		require.Greater(t, i[0], after, "%s", m[1])
		after = i[0]
	}
}

func TestLogOptions(t *testing.T) {
	o := &log.Options{Level: slog.LevelDebug, Message: "m", Attributes: []string{"request", "found", "nonsense"}}
	got := lines(t, o, slog.LevelDebug, full, notification.Event{Action: notification.Pull})
	require.Len(t, got, 2)
	require.Equal(t, "DEBUG", got[0]["level"])
	require.Equal(t, "m", got[0]["msg"])
	require.Len(t, got[0]["request"], 5)
	require.Len(t, got[0], 5) // time, level, msg, request, found
	require.Len(t, got[1], 3)
	require.Empty(t, lines(t, &log.Options{Level: slog.LevelDebug}, slog.LevelInfo, full))
	require.NoError(t, log.New(nil, nil).Notify(t.Context(), []notification.Event{full}))
}

// TestLogHostileTextsAreBoundedAndEscaped: what callers choose can neither forge a record nor fill
// the log.
func TestLogHostileTextsAreBoundedAndEscaped(t *testing.T) {
	hostile := strings.Repeat("\n\x1b[31mlevel=ERROR msg=\"forged\"\x00\xff\u202eé", 10_000)
	e := full
	e.Repository, e.Actor, e.Instance, e.From = hostile, hostile, hostile, hostile
	e.Tags = []string{hostile}
	e.Request = &notification.Request{ID: hostile, Method: hostile, Host: hostile, RemoteAddr: hostile, UserAgent: hostile}
	e.Gap = &notification.Gap{Stream: hostile, Reason: hostile}
	e.Account = &notification.AccountChange{Change: hostile, Name: hostile, Reason: hostile}
	e.Target = &ocispec.Descriptor{MediaType: hostile, ArtifactType: hostile}
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			require.NoError(t, log.New(slog.New(handler(&buf)), nil).Notify(t.Context(), []notification.Event{e}))
			require.Less(t, buf.Len(), 17*256*6) // an escaped byte takes up to 6
			require.Equal(t, 1, strings.Count(buf.String(), "\n"))
			require.NotContains(t, buf.String(), "\x1b")
			require.NotContains(t, buf.String(), "\x00")
			require.True(t, utf8.ValidString(buf.String()))
			require.Contains(t, buf.String(), "…")
		})
	}
}

func BenchmarkLog(b *testing.B) {
	for name, level := range map[string]slog.Level{"written": slog.LevelInfo, "level disabled": slog.LevelError} {
		b.Run(name, func(b *testing.B) {
			sink := log.New(slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: level})), nil)
			b.ReportAllocs()
			events := []notification.Event{full}
			for b.Loop() {
				if err := sink.Notify(context.Background(), events); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
