package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// skipCorrupt moves the cursor over a batch that cannot be read, and notes the gap. The object stays.
func (l *lane) skipCorrupt(ctx context.Context, cur cursor, err error) error {
	l.s.mu.Lock()
	next, total, closed := l.s.next, l.s.events, l.s.closed
	l.s.mu.Unlock()
	to := cursor{Seq: cur.Seq + 1, Number: cur.Number}
	now := time.Now().Round(0)
	gap := &notification.Gap{Stream: l.s.id, Events: -1, First: now, Last: now, Reason: "corrupt"}
	b, ferr := l.readable(ctx, to.Seq, next)
	switch {
	case ferr != nil:
		return ferr
	case b != nil:
		gap.Events, gap.Last, to.Seq, to.Number = b.First-cur.Number, b.Time, b.seq, b.First
	default:
		to.Seq = max(to.Seq, next)
	}
	if gap.First.After(gap.Last) {
		gap.First = gap.Last // when the events were written is not known: at the latest, with the next batch
	}
	if gap.Events < 0 && closed && total > cur.Number {
		gap.Events, to.Number = total-cur.Number, total
	}
	l.o.opts.Logger.Error("outbox: skipped an object that cannot be read", "sink", l.dest.Name,
		"key", batchKey(l.s.id, cur.Seq), "events", gap.Events, "error", err)
	l.o.dropped(l.dest.Name, max(gap.Events, 1))
	l.skip(cur, to, gap)
	return nil
}

// readable returns the first batch from seq on and before end that can be read, or nil. It lists what
// there is: a single object with a high number does not make it ask for all numbers before.
func (l *lane) readable(ctx context.Context, seq, end int64) (*batch, error) {
	for info, err := range l.o.driver.List(ctx, streamPrefix+l.s.id+"/",
		&driver.ListOptions{After: batchKey(l.s.id, seq-1), KeysOnly: true}) {
		if err != nil {
			return nil, err
		}
		at, ok := parseBatchKey(info.Key)
		switch {
		case !ok:
			continue
		case at >= end:
			return nil, nil
		}
		b, err := l.o.readBatch(ctx, l.s.id, at)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, errCorrupt) && !errors.Is(err, driver.ErrNotExist) {
			return nil, err
		}
	}
	return nil, nil
}

// skip moves the cursor from cur to another position, and adds gap to what the sink is told.
func (l *lane) skip(cur, to cursor, gap *notification.Gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur.Seq > cur.Seq || l.cur.Seq == cur.Seq && l.cur.Index != cur.Index {
		return
	}
	if g := l.cur.Gap; g != nil {
		merged := *gap
		merged.First = g.First
		if merged.Events >= 0 && g.Events >= 0 {
			merged.Events += g.Events
		} else {
			merged.Events = -1
		}
		gap = &merged
	}
	l.cur.Seq, l.cur.Index, l.cur.Number, l.cur.Gap = to.Seq, 0, to.Number, gap
	l.cur.Attempts, l.cur.Refused = 0, time.Time{}
}

// missing returns the event that tells a sink of a gap. Its ID depends on the gap only.
func missing(g *notification.Gap) notification.Event {
	return notification.Event{
		ID: gapID(g), Time: g.Last, Action: notification.Missing, Gap: g,
	}
}

// gapID returns the ID of the event about a gap, a UUID of version 8 that depends on the gap only.
func gapID(g *notification.Gap) string {
	sum := sha256.Sum256([]byte(g.Stream + " " + strconv.FormatInt(g.Events, 10) + " " +
		strconv.FormatInt(g.First.UnixNano(), 10) + " " + strconv.FormatInt(g.Last.UnixNano(), 10) + " " + g.Reason))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	x := hex.EncodeToString(sum[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}
