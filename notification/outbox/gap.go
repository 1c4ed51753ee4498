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
	for ; to.Seq < next; to.Seq++ {
		b, rerr := l.o.readBatch(ctx, l.s.id, to.Seq)
		if rerr == nil {
			gap.Events, gap.Last, to.Number = b.First-cur.Number, b.Time, b.First
			break
		}
		if !errors.Is(rerr, errCorrupt) && !errors.Is(rerr, driver.ErrNotExist) {
			return rerr
		}
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
