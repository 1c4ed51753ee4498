package format_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
)

// documented is the envelope as the documentation of the CNCF registry describes it.
type documented struct {
	Events []struct {
		ID        string
		Timestamp time.Time
		Action    string
		Target    struct {
			MediaType, Digest, Repository, FromRepository, URL, Tag, ArtifactType string
			Size, Length                                                          int64
			Annotations                                                           map[string]string
		}
		Request struct{ ID, Addr, Host, Method, UserAgent string }
		Actor   struct{ Name string }
		Source  struct{ Addr, InstanceID string }
	}
}

// TestCNCFReceiver sends every event to a receiver that was written from the documentation of the
// CNCF registry, and compares what it concludes.
func TestCNCFReceiver(t *testing.T) {
	var got []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || r.Method != http.MethodPost || mediaType != format.CNCFType {
			http.Error(w, "not an envelope", http.StatusUnsupportedMediaType)
			return
		}
		body, err := io.ReadAll(r.Body)
		var envelope documented
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err != nil || decoder.Decode(&envelope) != nil {
			http.Error(w, "not an envelope", http.StatusBadRequest)
			return
		}
		for _, e := range envelope.Events {
			got = append(got, e.Action+" "+e.Target.Repository+" "+e.Target.Tag+" "+short(e.Target.Digest))
		}
	}))
	t.Cleanup(receiver.Close)
	sink, err := webhook.New(receiver.URL, &webhook.Options{AllowPrivate: true})
	require.NoError(t, err)
	var events []notification.Event
	for _, s := range samples() {
		events = append(events, s.event)
	}
	require.NoError(t, sink.Notify(t.Context(), events))
	require.Equal(t, []string{
		"push team/app v1 05b3", "push team/app latest 05b3", "push team/app  05b3", "push team/app  dac1",
		"pull team/app v1 05b3", "pull team/app  dac1", "mount team/app  dac1",
		"delete team/app  05b3", "delete team/app latest ", "delete team/app v1 ",
		"delete team/app v1 ", "delete team/app  dac1", "delete team/app  ", "push team/app latest 05b3",
	}, got)
}

func short(digest string) string {
	if digest == "" {
		return ""
	}
	return digest[len("sha256:"):][:4]
}
