// Package webhooks compares what package webhook sends with libraries of other authors.
package webhooks

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/stretchr/testify/require"
)

// want are the attributes of each event, by the rules in the comment of format.CloudEvents.
type want struct {
	event         notification.Event
	kind, subject string
}

func events() []want {
	manifest := &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("m"), Size: 7}
	at := manifest.Digest.String()
	list := []want{
		{notification.Event{Action: notification.Push, Kind: notification.Manifest, Target: manifest,
			Tags: []string{"v1", "v2"}}, "registry.manifest.pushed", "team/app@" + at},
		{notification.Event{Action: notification.Pull, Kind: notification.Blob, Target: manifest},
			"registry.blob.pulled", "team/app@" + at},
		{notification.Event{Action: notification.Mount, Kind: notification.Blob, Target: manifest, From: "a/b"},
			"registry.blob.mounted", "team/app@" + at},
		{notification.Event{Action: notification.Delete, Kind: notification.Tag, Target: manifest, Tags: []string{"v1"}},
			"registry.tag.deleted", "team/app:v1"},
		{notification.Event{Action: notification.Delete, Kind: notification.Repository}, "registry.repository.deleted",
			"team/app"},
		{notification.Event{Action: notification.Move, Kind: notification.Tag, Target: manifest, Tags: []string{"v1"},
			Previous: digest.FromString("p")}, "registry.tag.moved", "team/app:v1"},
		{notification.Event{Action: notification.Restore, Kind: notification.Manifest, Target: manifest},
			"registry.manifest.restored", "team/app@" + at},
	}
	for i := range list {
		e := &list[i].event
		e.ID, e.Repository, e.Actor = notification.NewID(), "team/app", "Ann \"Ü\" <ann@example>"
		e.Time = time.Date(2026, 11, 30, 12, 0, i, 1000, time.UTC)
	}
	return append(list, want{notification.Event{ID: notification.NewID(), Action: notification.Missing,
		Time: time.Date(2026, 11, 30, 12, 1, 0, 0, time.UTC), Gap: &notification.Gap{Stream: "s", Events: 3}},
		"registry.events.missing", ""})
}

func check(t *testing.T, w want, got cloudevents.Event) {
	t.Helper()
	require.NoError(t, got.Validate())
	require.Equal(t, cloudevents.VersionV1, got.SpecVersion())
	require.Equal(t, w.event.ID, got.ID())
	require.Equal(t, "https://registry.example/a", got.Source())
	require.Equal(t, w.kind, got.Type())
	require.Equal(t, w.subject, got.Subject())
	require.True(t, w.event.Time.Equal(got.Time()))
	require.Equal(t, cloudevents.ApplicationJSON, got.DataContentType())
	extensions := map[string]any{"sequence": w.event.ID}
	if w.event.Repository != "" {
		extensions["partitionkey"] = w.event.Repository
	}
	require.Equal(t, extensions, got.Extensions())
	var data notification.Event
	require.NoError(t, got.DataAs(&data))
	wantData, err := json.Marshal(w.event)
	require.NoError(t, err)
	gotData, err := json.Marshal(data)
	require.NoError(t, err)
	require.JSONEq(t, string(wantData), string(gotData))
}

// send sends all events in a mode to a receiver.
func send(t *testing.T, mode format.Mode, receiver http.Handler, list []want) {
	t.Helper()
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	sink, err := webhook.New(server.URL, &webhook.Options{
		Format:       format.CloudEvents(mode, &format.CloudEventsOptions{Source: "https://registry.example/a"}),
		AllowPrivate: true,
	})
	require.NoError(t, err)
	t.Cleanup(sink.CloseIdleConnections)
	var all []notification.Event
	for _, w := range list {
		all = append(all, w.event)
	}
	require.NoError(t, sink.Notify(t.Context(), all))
}

// TestCloudEvents: the receiver of the official SDK gets every event, in the structured and in the
// binary mode.
func TestCloudEvents(t *testing.T) {
	for name, mode := range map[string]format.Mode{"structured": format.Structured, "binary": format.Binary} {
		t.Run(name, func(t *testing.T) {
			var got []cloudevents.Event
			protocol, err := cloudevents.NewHTTP()
			require.NoError(t, err)
			receiver, err := cloudevents.NewHTTPReceiveHandler(t.Context(), protocol,
				func(_ context.Context, e cloudevents.Event) { got = append(got, e) })
			require.NoError(t, err)
			list := events()
			send(t, mode, receiver, list)
			require.Len(t, got, len(list))
			for i, w := range list {
				check(t, w, got[i])
			}
		})
	}
}

// TestCloudEventsBatch: the SDK reads all events of one request.
func TestCloudEventsBatch(t *testing.T) {
	var got [][]cloudevents.Event
	list := events()
	send(t, format.Batch, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		batch, err := cehttp.NewEventsFromHTTPRequest(r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		got = append(got, batch)
	}), list)
	require.Len(t, got, 1)
	require.Len(t, got[0], len(list))
	for i, w := range list {
		check(t, w, got[0][i])
	}
}
