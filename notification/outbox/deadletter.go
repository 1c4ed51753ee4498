package outbox

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// DeadLetter is an event that was given up for a sink.
type DeadLetter struct {
	// Event is the event.
	Event notification.Event
	// Time is when the event was given up.
	Time time.Time
	// Attempts is the number of calls of the sink with the event.
	Attempts int
	// Error is the text of the last error, of at most 500 bytes.
	Error string
}

// bury stores a dead letter.
func (o *Outbox) bury(ctx context.Context, sink string, e notification.Event, attempts int, cause error) error {
	b, err := encode(&letter{Nonce: newNonce(), Time: time.Now().Round(0), Attempts: attempts, Error: text(cause),
		Event: e}, nil)
	if err != nil {
		return err
	}
	_, err = o.driver.Put(ctx, letterKey(sink, e.ID), bytes.NewReader(b), &driver.PutOptions{Size: int64(len(b))})
	return err
}

// readLetter reads a dead letter.
func (o *Outbox) readLetter(ctx context.Context, key string) (DeadLetter, string, error) {
	b, info, err := o.read(ctx, key)
	if err != nil {
		return DeadLetter{}, "", err
	}
	d, err := decodeLetter(b)
	return d, info.Version, err
}

func decodeLetter(b []byte) (DeadLetter, error) {
	var r letter
	if _, err := decode(b, &r); err != nil {
		return DeadLetter{}, err
	}
	return DeadLetter{Event: r.Event, Time: r.Time, Attempts: r.Attempts, Error: r.Error}, nil
}

// DeadLetters yields the dead letters of a sink, ordered by the IDs of their events.
//
// Errors: an error is the last element. ErrUnknownSink.
func (o *Outbox) DeadLetters(ctx context.Context, name string) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		if !validSink.MatchString(name) || o.destination(name) == nil {
			yield(DeadLetter{}, ErrUnknownSink)
			return
		}
		for info, err := range o.driver.List(ctx, letterPrefix+name+"/", &driver.ListOptions{KeysOnly: true}) {
			if err != nil {
				yield(DeadLetter{}, err)
				return
			}
			d, _, err := o.readLetter(ctx, info.Key)
			switch {
			case errors.Is(err, driver.ErrNotExist):
				continue
			case errors.Is(err, errCorrupt):
				o.opts.Logger.Error("outbox: skipped an object that cannot be read", "key", info.Key)
				continue
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// Replay calls a sink with the dead letters of the given events, or with all of them if there are
// no ids. It removes those that the sink accepts, and returns their number, also with an error.
// Several processes may do this at once: an event may then arrive several times.
//
// Errors: ErrUnknownSink; driver.ErrNotExist for an ID without a dead letter; the first error of the
// sink or of the storage.
func (o *Outbox) Replay(ctx context.Context, name string, ids ...string) (int, error) {
	d := o.destination(name)
	if d == nil || !validSink.MatchString(name) {
		return 0, ErrUnknownSink
	}
	all := len(ids) == 0
	if all {
		for l, err := range o.DeadLetters(ctx, name) {
			if err != nil {
				return 0, err
			}
			ids = append(ids, l.Event.ID)
		}
	}
	n := 0
	for _, id := range ids {
		key := letterKey(name, id)
		l, version, err := o.readLetter(ctx, key)
		if all && errors.Is(err, driver.ErrNotExist) {
			continue // another process has replayed it
		}
		if err == nil {
			err = o.call(ctx, *d, []notification.Event{l.Event})
			o.counted(name, notification.Delivered(err, 1), err)
		}
		if err == nil {
			err = o.driver.Delete(ctx, key, version)
			if errors.Is(err, driver.ErrNotExist) {
				err = nil
			}
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Enable calls a sink again that was disabled because its receiver wanted no more events, see
// [notification.ErrGone]. Deliveries continue where they stopped, in all replicas.
//
// Errors: ErrUnknownSink; errors of the storage.
func (o *Outbox) Enable(ctx context.Context, name string) error {
	if o.destination(name) == nil || !validSink.MatchString(name) {
		return ErrUnknownSink
	}
	if err := o.driver.Delete(ctx, disabledPrefix+name, ""); err != nil && !errors.Is(err, driver.ErrNotExist) {
		return err
	}
	o.disabledMu.Lock()
	defer o.disabledMu.Unlock()
	delete(o.disabled, name)
	return nil
}

// disable stores that the receiver of a sink wants no more events.
func (o *Outbox) disable(ctx context.Context, name string, cause error) error {
	b, err := encode(&disabled{Nonce: newNonce(), Time: time.Now().Round(0), Error: text(cause)}, nil)
	if err != nil {
		return err
	}
	o.opts.Logger.Error("outbox: the receiver wants no more events; Enable calls it again", "sink", name,
		"error", text(cause))
	if _, err = o.driver.Put(ctx, disabledPrefix+name, bytes.NewReader(b), nil); err != nil {
		return err
	}
	o.disabledMu.Lock()
	defer o.disabledMu.Unlock()
	o.disabled[name] = true
	return nil
}

func (o *Outbox) isDisabled(name string) bool {
	o.disabledMu.Lock()
	defer o.disabledMu.Unlock()
	return o.disabled[name]
}

// readDisabled lists the sinks that any replica has disabled.
func (o *Outbox) readDisabled(ctx context.Context) error {
	now := map[string]bool{}
	for info, err := range o.driver.List(ctx, disabledPrefix, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return err
		}
		now[strings.TrimPrefix(info.Key, disabledPrefix)] = true
	}
	o.disabledMu.Lock()
	defer o.disabledMu.Unlock()
	for _, d := range o.sinks {
		if now[d.Name] && !o.disabled[d.Name] {
			o.opts.Logger.Warn("outbox: the sink is disabled, because its receiver has wanted no more events; "+
				"Enable calls it again", "sink", d.Name, "key", disabledPrefix+d.Name)
		}
	}
	o.disabled = now
	return nil
}
