package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestEventsCheck checks that every mistake in the configuration of webhooks ends the program at
// the start, with the line of a file.
func TestEventsCheck(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	secrets := write("secrets", "# the newest first\n"+string(webhook.NewSecret())+"\n")
	files := 0
	hook := func(lines string) string {
		files++
		return write(fmt.Sprintf("hooks%d.yaml", files), "webhooks:\n- name: ci\n  url: https://ci.example/hook\n"+lines)
	}
	const url = "https://ci.example/hook?key=of-ann"
	for name, row := range map[string]struct {
		events events
		want   string // part of the error; "" means none
	}{
		"nothing":               {events{}, ""},
		"URL":                   {events{sources: []string{url}}, ""},
		"URL with parameters":   {events{sources: []string{url + "#format=json&actions=push,pull"}}, ""},
		"file":                  {events{sources: []string{hook("  format: harbor\n  actions: [push]\n")}}, ""},
		"secrets":               {events{sources: []string{url}, secretFile: secrets}, ""},
		"not a URL":             {events{sources: []string{"https://"}}, "-webhook"},
		"no file":               {events{sources: []string{filepath.Join(dir, "none.yaml")}}, "none.yaml"},
		"misspelt URL":          {events{sources: []string{"ci.example/hook?key=x"}}, `"ci.example/hook" is not a URL`},
		"unknown parameter":     {events{sources: []string{url + "#colour=red"}}, "colour"},
		"unknown action":        {events{sources: []string{url + "#actions=pushed"}}, "pushed"},
		"malformed pattern":     {events{sources: []string{url + "#repositories=a["}}, "repositories"},
		"unknown field":         {events{sources: []string{hook("  format: json\n  colour: red\n")}}, ".yaml:5: "},
		"unknown format":        {events{sources: []string{hook("  timeout: 1s\n  format: xml\n")}}, ".yaml:5: "},
		"malformed pattern, 2":  {events{sources: []string{hook("  repositories:\n  - ok/**\n  - a[\n")}}, ".yaml:6: "},
		"timeout":               {events{sources: []string{hook("  timeout: soon\n")}}, ".yaml:4: "},
		"retry":                 {events{sources: []string{hook("")}, retry: []string{"ci"}}, ""},
		"retry of no webhook":   {events{sources: []string{hook("")}, retry: []string{"ci", "cd"}}, `"cd"`},
		"same name twice":       {events{sources: []string{hook(""), url + "#name=ci"}}, "ci"},
		"-webhook-format":       {events{format: "xml"}, "-webhook-format"},
		"secrets that are none": {events{sources: []string{url}, secretFile: write("bad", "\nwhsec_of-bob\n")}, "bad:2: "},
		"secrets alone":         {events{secretFile: secrets}, "need -webhook"},
		"allow private alone":   {events{allowPrivate: true}, "need -webhook"},
		"lease":                 {events{lease: time.Millisecond}, "-outbox-lease"},
		"reindex":               {events{reindex: -1}, "-outbox-reindex"},
	} {
		t.Run(name, func(t *testing.T) {
			if row.events.format == "" {
				row.events.format = "cncf"
			}
			if row.events.lease == 0 {
				row.events.lease = time.Second
			}
			err := row.events.check("")
			if row.want == "" {
				require.NoError(t, err)
				require.Len(t, row.events.webhooks, len(row.events.sources))
				return
			}
			require.ErrorContains(t, err, row.want)
			require.NotContains(t, err.Error(), "of-ann", "no secret")
			require.NotContains(t, err.Error(), "of-bob")
		})
	}
}

// TestEventsSink checks where events go: changes over the outbox, pulls over a queue to the webhook
// that wants them, and all of them into the log.
func TestEventsSink(t *testing.T) {
	arrived := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct{ Events []notification.Event }
		if body, err := io.ReadAll(r.Body); err == nil && json.Unmarshal(body, &message) == nil {
			for _, e := range message.Events {
				arrived <- r.URL.Path + " " + string(e.Action) + " " + e.Request.RemoteAddr
			}
		}
	}))
	defer receiver.Close()
	e := events{format: "json", lease: time.Second, allowPrivate: true, log: true, sources: []string{
		receiver.URL + "/changes", receiver.URL + "/pulls#actions=pull", receiver.URL + "/none#repositories=other/**"}}
	require.NoError(t, e.check(""))
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	driver := memory.New(nil)
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	sink, run, err := e.sink(driver, store, log)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		run(ctx)
		close(done)
	}()

	c := config{addr: "127.0.0.1:0", minRate: 1}
	require.NoError(t, c.access.addProxy("192.0.2.1"))
	handler, err := newHandler(t.Context(), &c, driver, store, &Served{Backend: store}, &limited{Backend: store}, sink,
		log)
	require.NoError(t, err)
	handler = c.access.forwarded(handler)
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), store, "app"))
	img := registrytest.RandomImage(1, 1, 10)
	send := func(method string, body string) {
		r := httptest.NewRequest(method, "http://127.0.0.1/v2/app/manifests/v1", strings.NewReader(body))
		r.RemoteAddr = "192.0.2.1:4321"
		r.Header.Set("X-Forwarded-For", "198.51.100.7")
		r.Header.Set("Content-Type", img.Descriptor.MediaType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.Less(t, w.Code, 300, w.Body.String())
	}
	send("PUT", string(img.Manifest))
	send("GET", "")
	require.ElementsMatch(t, []string{"/changes push 198.51.100.7", "/pulls pull 198.51.100.7"},
		[]string{<-arrived, <-arrived})
	cancel()
	<-done
	require.Empty(t, arrived)
	require.Contains(t, logged.String(), "action=push")
	require.Contains(t, logged.String(), "action=pull")
}

// TestPullsToDisabledWebhook checks that a receiver that wants no more events gets no pulls either.
func TestPullsToDisabledWebhook(t *testing.T) {
	arrived := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.URL.Path
	}))
	defer receiver.Close()
	e := events{format: "json", lease: time.Second, allowPrivate: true, sources: []string{
		receiver.URL + "/gone#actions=all&name=gone", receiver.URL + "/pulls#actions=pull"}}
	require.NoError(t, e.check(""))
	driver := memory.New(nil)
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	_, err = driver.Put(t.Context(), "e/x/gone", strings.NewReader("{}\n"), nil) // an earlier process got 410
	require.NoError(t, err)
	sink, run, err := e.sink(driver, store, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		run(ctx)
		close(done)
	}()
	time.Sleep(200 * time.Millisecond) // the list of disabled webhooks is read
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{{ID: notification.NewID(), Time: time.Now(),
		Action: notification.Pull, Kind: notification.Manifest, Repository: "app", Tags: []string{"v1"}}}))
	require.Equal(t, "/pulls", <-arrived)
	cancel()
	<-done
	require.Empty(t, arrived)
}

// TestWebhookRetry checks that -webhook-retry enables a webhook whose receiver has answered 410, and
// sends what has waited.
func TestWebhookRetry(t *testing.T) {
	var gone atomic.Bool
	gone.Store(true)
	arrived := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusGone)
		}
		arrived <- r.URL.Path
	}))
	defer receiver.Close()
	e := events{format: "json", lease: time.Second, allowPrivate: true, sources: []string{receiver.URL + "/ci#name=ci"}}
	driver := memory.New(nil)
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	start := func() (stop func()) {
		require.NoError(t, e.check(""))
		sink, run, err := e.sink(driver, store, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			run(ctx)
			close(done)
		}()
		if gone.Load() {
			require.NoError(t, sink.Notify(ctx, []notification.Event{{ID: notification.NewID(), Time: time.Now(),
				Action: notification.Push, Kind: notification.Blob, Repository: "app"}}))
		}
		return func() { cancel(); <-done }
	}
	stop := start()
	require.Equal(t, "/ci", <-arrived)
	require.Eventually(t, func() bool {
		_, err := driver.Stat(t.Context(), "e/x/ci")
		return err == nil
	}, 10*time.Second, time.Millisecond)
	stop()
	gone.Store(false)
	e.retry = []string{"ci"}
	stop = start()
	require.Equal(t, "/ci", <-arrived)
	stop()
	_, err = driver.Stat(t.Context(), "e/x/ci")
	require.Error(t, err)
}
