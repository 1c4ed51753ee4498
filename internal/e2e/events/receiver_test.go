package events

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

// secret signs the webhooks of all tests. It is the form that -webhook-secret-file reads.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"

// event is what the tests read of the JSON of an event. It is written from docs/events.md, and not
// the type of package notification.
type event struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Action     string    `json:"action"`
	Kind       string    `json:"kind"`
	Repository string    `json:"repository"`
	Target     struct {
		MediaType string        `json:"mediaType"`
		Digest    digest.Digest `json:"digest"`
		Size      int64         `json:"size"`
	} `json:"target"`
	Tags     []string      `json:"tags"`
	Previous digest.Digest `json:"previous"`
	Instance string        `json:"instance"`
	Found    bool          `json:"found"`
	Request  struct {
		UserAgent string `json:"userAgent"`
	} `json:"request"`
}

// fault is what a receiver does instead of accepting an event.
type fault string

const (
	accept     fault = ""
	status500  fault = "500"
	status429  fault = "429 with Retry-After"
	closeFirst fault = "closes the connection before it reads"
	hang       fault = "hangs until the sender gives up"
	slow       fault = "accepts after 50 ms"
	// With these, the receiver has the event and the sender cannot know it.
	closeAfter fault = "accepts and closes the connection without an answer"
	fail500    fault = "accepts and answers 500"
	truncated  fault = "answers 200 and closes early"
)

// received reports whether the receiver has the event although the sender may send it again.
func (f fault) received() bool { return f == closeAfter || f == fail500 || f == truncated }

// receiver receives webhooks in the format "json". It checks each signature with the library of
// Standard Webhooks, and fails as faults tells it to.
type receiver struct {
	*httptest.Server
	verify *standardwebhooks.Webhook

	mu       sync.Mutex
	faults   func() fault
	events   []event        // in the order of their first arrival
	attempts map[string]int // deliveries that were received, by ID
	times    []time.Time    // of the deliveries
	counts   map[fault]int
	unknown  int // deliveries that were received, and the sender cannot know it
	problems []string
}

// newReceiver starts a receiver that accepts everything.
func newReceiver(t *testing.T) *receiver {
	t.Helper()
	verify, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	r := &receiver{verify: verify, attempts: map[string]int{}, counts: map[fault]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.close)
	return r
}

// close stops the receiver. Requests that hang are cut off.
func (r *receiver) close() {
	r.CloseClientConnections()
	r.Server.Close()
}

// flaky makes one of every requests fail, in a random way that depends on seed.
func (r *receiver) flaky(seed uint64, every int, kinds ...fault) {
	rng := rand.New(rand.NewPCG(seed, 1))
	r.set(func() fault {
		if rng.IntN(every) > 0 {
			return accept
		}
		return kinds[rng.IntN(len(kinds))]
	})
}

// set replaces the function that chooses faults. It is called with the lock held; nil means none.
func (r *receiver) set(faults func() fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = faults
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	f := r.choose()
	switch f {
	case closeFirst:
		panic(http.ErrAbortHandler)
	case status500:
		http.Error(w, "not now", http.StatusInternalServerError)
		return
	case status429:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many", http.StatusTooManyRequests)
		return
	case hang:
		_, _ = io.Copy(io.Discard, req.Body) // otherwise the server does not notice the end of the connection
		<-req.Context().Done()
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender was killed
	}
	if err := r.receive(f, req.Header, body); err != nil {
		r.problem(err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch f {
	case closeAfter:
		panic(http.ErrAbortHandler)
	case fail500:
		http.Error(w, "after the fact", http.StatusInternalServerError)
	case truncated:
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "ok") // the server closes the connection
	case slow:
		time.Sleep(50 * time.Millisecond)
	}
}

// choose returns the fault for a request and counts it.
func (r *receiver) choose() fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := accept
	if r.faults != nil {
		f = r.faults()
	}
	r.counts[f]++
	return f
}

// receive checks and notes the events of a request.
func (r *receiver) receive(f fault, header http.Header, body []byte) error {
	if err := r.verify.Verify(body, header); err != nil {
		return err
	}
	var message struct {
		Events []event `json:"events"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	if len(message.Events) == 0 {
		return fmt.Errorf("no events: %s", body)
	}
	for _, e := range message.Events {
		r.note(e, f)
	}
	return nil
}

// note notes the reception of an event.
func (r *receiver) note(e event, f fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, time.Now())
	if r.attempts[e.ID]++; r.attempts[e.ID] == 1 {
		r.events = append(r.events, e)
	}
	if f.received() {
		r.unknown++
	}
}

func (r *receiver) problem(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, err.Error())
}

// received returns the events in the order of their first arrival.
func (r *receiver) received() []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]event(nil), r.events...)
}

// duplicates returns the number of deliveries of events that the receiver already had, and the
// number of deliveries of which the sender could not know that they arrived.
func (r *receiver) duplicates() (duplicates, unknown int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.attempts {
		duplicates += n - 1
	}
	return duplicates, r.unknown
}

// busiest returns the maximum number of deliveries within a time.
func (r *receiver) busiest(within time.Duration) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	most, first := 0, 0
	for i, at := range r.times {
		for at.Sub(r.times[first]) > within {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// report returns the faults with their numbers, and requires that every request was valid.
func (r *receiver) report(t *testing.T) map[fault]int {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.problems)
	return r.counts
}
