package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/auth"
)

// eventViews are the views of live events.
func eventViews() []view {
	live := func(o *Options) bool { return o.Events != nil }
	return []view{
		{name: "events", method: "GET", path: "/events", needs: live, handle: showEvents},
		{name: "events", method: "GET", path: "/events/stream", needs: live, handle: streamEvents},
	}
}

const (
	// maxRecent is the maximum number of events on a page.
	maxRecent = 50
	// recentTime is how long the page waits at most for the events that the stream has kept, and quietTime is how long
	// the stream is quiet after them.
	recentTime = 500 * time.Millisecond
	quietTime  = 30 * time.Millisecond
	// maxRecorded is the maximum size of those events, in bytes.
	maxRecorded = 4 << 20
)

// eventsPage is what the template "events" shows.
type eventsPage struct {
	Events []eventRow
	// After is where the live stream goes on after Events.
	After string
	// Words are the names of actions, as JSON for the script.
	Words string
	// Repositories is the URL below which repositories are.
	Repositories string
}

// eventRow is an event. Its fields are those of notification.Event that a page shows.
type eventRow struct {
	Time       time.Time `json:"time"`
	Action     string    `json:"action"`
	Kind       string    `json:"kind"`
	Repository string    `json:"repository"`
	Tags       []string  `json:"tags"`
	Actor      string    `json:"actor"`
	Target     struct {
		Digest string `json:"digest"`
	} `json:"target"`
	Word string `json:"-"`
}

// mayWatch reports whether the caller can see events: people who have signed in, and everyone if the rules let everyone
// list the catalog.
func (q *request) mayWatch() bool { return q.signedIn() || q.mayRegistry(auth.NameCatalog, auth.All) }

// eventWords returns the names of actions in English.
func eventWords() map[string]string {
	return map[string]string{"push": "push", "pull": "pull", "mount": "mount", "delete": "delete", "move": "move",
		"restore": "restore", "missing": "some events are missing", "quota": "limit exceeded",
		"account": "account changed"}
}

// showEvents shows the last events. The script of the page adds those that follow.
func showEvents(q *request) (*answer, error) {
	if err := q.need(q.mayWatch()); err != nil {
		return nil, err
	}
	words := eventWords()
	for action, text := range words {
		words[action] = q.language.Text(text)
	}
	encoded, err := json.Marshal(words)
	if err != nil {
		return nil, err
	}
	page := eventsPage{Words: string(encoded), Repositories: q.page.path("repositories", "")}
	page.Events, page.After = q.recentEvents()
	for i := range page.Events {
		e := &page.Events[i]
		e.Word = e.Action
		if word, ok := words[e.Action]; ok {
			e.Word = word
		}
	}
	return q.show(q.language.Text("Events"), page), nil
}

// streamEvents serves the live stream, with the rights of the caller.
func streamEvents(q *request) (*answer, error) {
	return &answer{serve: q.page.opts.Events.ServeHTTP}, nil
}

// recentEvents returns the events that the stream has kept, the newest first, and the ID of the last one. Events of
// blobs are left out: an image has many. It reads the stream as a client that comes back, until the stream is quiet.
func (q *request) recentEvents() (events []eventRow, last string) {
	ctx, cancel := context.WithTimeout(q.Context(), recentTime)
	defer cancel()
	r := q.Clone(ctx)
	r.URL.RawQuery = "after=-" // no event has this ID, so the stream begins with the oldest one
	r.Header.Del("Last-Event-ID")
	rec := &recorder{header: http.Header{}, cancel: cancel}
	q.page.opts.Events.ServeHTTP(rec, r)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.quiet != nil {
		rec.quiet.Stop()
	}
	if rec.status >= http.StatusBadRequest {
		return nil, ""
	}
	for message := range strings.SplitSeq(rec.body.String(), "\n\n") {
		var e eventRow
		name := ""
		for line := range strings.SplitSeq(message, "\n") {
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				last = id
			}
			if text, ok := strings.CutPrefix(line, "event: "); ok {
				name = text
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok && json.Unmarshal([]byte(data), &e) != nil {
				name = "damaged"
			}
		}
		if name == "" && e.Action != "" && e.Kind != "blob" {
			events = append(events, e)
		}
	}
	events = events[max(0, len(events)-maxRecent):]
	slices.Reverse(events)
	return events, last
}

// recorder records the beginning of a stream. It ends the stream when nothing more comes.
type recorder struct {
	mu     sync.Mutex
	header http.Header
	status int
	body   bytes.Buffer
	cancel func()
	quiet  *time.Timer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body.Len()+len(b) > maxRecorded {
		r.cancel()
		return len(b), nil
	}
	return r.body.Write(b)
}

// Flush implements http.Flusher.
func (r *recorder) Flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.quiet != nil {
		r.quiet.Stop()
	}
	r.quiet = time.AfterFunc(quietTime, r.cancel)
}
