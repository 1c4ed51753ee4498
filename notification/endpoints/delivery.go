package endpoints

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// Delivery is the last attempt to deliver one event to one endpoint.
type Delivery struct {
	// ID identifies the delivery within its endpoint. It is the ID of the event, if that is a UUID.
	ID string `json:"id"`
	// State is what follows from the last attempt.
	State State `json:"state"`
	// Test is set for the event of a [Endpoints.Test].
	Test bool `json:"test,omitempty"`
	// Event is the event as the endpoint gets it.
	Event notification.Event `json:"event"`
	// Attempts is the number of attempts, with replays.
	Attempts int `json:"attempts"`
	// Time is when the last attempt began, and Duration how long it took.
	Time     time.Time     `json:"time"`
	Duration time.Duration `json:"duration"`
	// Status is the HTTP status of the response, or 0 if there was none.
	Status int `json:"status,omitempty"`
	// Error says what went wrong, without secrets. It is "" for a delivered event.
	Error string `json:"error,omitempty"`
	// Response is the beginning of the body of a response that is not 2xx, of at most 200 bytes.
	Response string `json:"response,omitempty"`
	// Next is when the next attempt begins, if State is Retrying.
	Next time.Time `json:"next,omitzero"`
}

// State is the state of a [Delivery].
type State string

const (
	// Delivered means that the receiver has accepted the event.
	Delivered State = "delivered"
	// Retrying means that another attempt follows.
	Retrying State = "retrying"
	// Dead means that no further attempt follows.
	Dead State = "dead"
)

// waiting is the record of an event that waits for an endpoint.
type waiting struct {
	Event notification.Event `json:"event"`
	// Time is when the event was copied for the endpoint.
	Time time.Time `json:"time"`
}

// deliveryID returns the ID of the delivery of an event. IDs that are UUIDs of version 7 have the order of their times.
func deliveryID(e *notification.Event) string {
	if validDelivery(e.ID) {
		return e.ID
	}
	sum := sha256.Sum256([]byte(e.ID))
	x := fmt.Sprintf("%012x8%s8%s", e.Time.UnixMilli()&(1<<48-1), hex.EncodeToString(sum[:2])[:3],
		hex.EncodeToString(sum[2:10])[:15])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// validDelivery reports whether id is a UUID in lower case.
func validDelivery(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') {
			return false
		}
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// backwards replaces each digit of an ID by its complement: a list of such names has the latest first. It is its own
// inverse.
func backwards(id string) string {
	const digits = "0123456789abcdef"
	return strings.Map(func(c rune) rune {
		if i := strings.IndexRune(digits, c); i >= 0 {
			return rune(digits[15-i])
		}
		return c
	}, id)
}

func logKey(endpoint ID, delivery string) string {
	return logPrefix + string(endpoint) + "/" + backwards(delivery)
}

func deadKey(endpoint ID, delivery string) string {
	return deadPrefix + string(endpoint) + "/" + backwards(delivery)
}

// log stores the last attempt of a delivery that is not dead, or of a test.
func (e *Endpoints) log(ctx context.Context, id ID, d *Delivery) error {
	_, err := write(ctx, e.driver, logKey(id, d.ID), d, driver.PutOptions{Durability: driver.Deferred})
	if err != nil {
		return err
	}
	return e.trim(ctx, logPrefix, id, e.opts.KeepDeliveries)
}

// bury stores a dead delivery.
func (e *Endpoints) bury(ctx context.Context, id ID, d *Delivery) error {
	d.State, d.Next = Dead, time.Time{}
	if _, err := write(ctx, e.driver, deadKey(id, d.ID), d, driver.PutOptions{}); err != nil {
		return err
	}
	e.opts.Logger.Warn("endpoints: gave up on an event", "endpoint", id, "event", d.Event.ID, "attempts", d.Attempts,
		"error", d.Error)
	if err := remove(ctx, e.driver, logKey(id, d.ID)); err != nil {
		return err
	}
	return e.trim(ctx, deadPrefix, id, e.opts.MaxDead)
}

// record stores a delivery where it belongs.
func (e *Endpoints) record(ctx context.Context, id ID, d *Delivery) error {
	if d.State == Dead && !d.Test {
		return e.bury(ctx, id, d)
	}
	if err := e.log(ctx, id, d); err != nil {
		return err
	}
	return remove(ctx, e.driver, deadKey(id, d.ID))
}

// trimAfter is the number of records of an endpoint after which the oldest ones are looked for.
const trimAfter = 25

// logCounts counts the records that were written since the last trim, by their prefix.
type logCounts struct {
	mu      sync.Mutex
	written map[string]int
}

// due counts a record, and reports whether it is time for a trim.
func (l *logCounts) due(prefix string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, known := l.written[prefix]
	if known && n < trimAfter {
		l.written[prefix] = n + 1
		return false
	}
	l.written[prefix] = 0
	return true
}

// trim removes the oldest records of an endpoint, now and then.
func (e *Endpoints) trim(ctx context.Context, kind string, id ID, keep int) error {
	prefix := kind + string(id) + "/"
	if !e.logs.due(prefix) {
		return nil
	}
	n := 0
	for info, err := range e.driver.List(ctx, prefix, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return err
		}
		if n++; n <= keep {
			continue
		}
		if err := remove(ctx, e.driver, info.Key); err != nil {
			return err
		}
	}
	return nil
}

// find returns the delivery of an endpoint.
//
// Errors: ErrUnknown; those of the Driver.
func (e *Endpoints) find(ctx context.Context, id ID, delivery string) (*Delivery, error) {
	if !validDelivery(delivery) {
		return nil, ErrUnknown
	}
	for _, key := range []string{deadKey(id, delivery), logKey(id, delivery)} {
		d, _, err := read[Delivery](ctx, e.driver, key)
		if errors.Is(err, driver.ErrNotExist) {
			continue
		}
		return d, err
	}
	return nil, ErrUnknown
}
