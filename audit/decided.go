package audit

import (
	"cmp"
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/pause"
)

// flushTimeout is how long a flush waits for the storage.
const flushTimeout = 30 * time.Second

// pending has the decisions that are not stored yet. Equal ones are one record.
type pending struct {
	limit int // records in a minute, see Options.Decisions

	mu      sync.Mutex
	records map[same]*Record
	// minute is the present minute. made counts the records that were made in it, by outcome, and
	// denied the refusals by network.
	minute time.Time
	made   map[string]int
	denied map[netip.Prefix]int
}

// same is what equal decisions have in common.
type same struct {
	actor, action, kind, outcome, repository, name, rule, reason string
	method, path, address, agent                                 string
}

// Decided records a decision in memory: a refusal, a login, or a request for an account or for a part
// of the registry. It is for registry.Options.Audit, signin.Options.Audit and token.Options.Audit. It
// takes no time, and never fails. It ignores allowed requests for content, for the catalog, and of
// callers who read their own account.
func (l *Log) Decided(_ context.Context, d auth.Decision) {
	if d.Allowed && !sensitive(d) {
		return
	}
	r := fromDecision(d)
	now := time.Now()
	r.complete(now, l.opts.Instance)
	l.pending.add(&r, now)
}

// sensitive reports whether an allowed decision is recorded. One without accesses is a login.
func sensitive(d auth.Decision) bool {
	if len(d.Accesses) == 0 {
		return !d.Identity.Anonymous()
	}
	for _, a := range d.Accesses {
		switch {
		case a.Type == auth.TypeRegistry && a.Name != auth.NameCatalog:
			return true
		case a.Type == auth.TypeAccount && (a.Name != d.Identity.Name || a.Action != auth.Read):
			return true
		}
	}
	return false
}

// add adds a decision, or counts it in a record that is there.
func (p *pending) add(r *Record, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.records == nil {
		p.records = map[same]*Record{}
	}
	key := r.same()
	if p.records[key] == nil {
		p.budget(r, now)
		key = r.same()
	}
	p.merge(key, r)
}

// merge adds a record, or its count to an equal one.
func (p *pending) merge(key same, r *Record) {
	have := p.records[key]
	if have == nil {
		p.records[key] = r
		return
	}
	have.Count = max(have.Count, 1) + max(r.Count, 1)
	last := r.Time
	if r.Last.After(last) {
		last = r.Last
	}
	if last.After(have.Last) {
		have.Last = last
	}
}

// budget counts a new record of the present minute. Beyond a limit, it removes from r
// what distinguishes it from others.
func (p *pending) budget(r *Record, now time.Time) {
	if minute := now.Truncate(time.Minute); !minute.Equal(p.minute) {
		p.minute, p.made, p.denied = minute, map[string]int{}, map[netip.Prefix]int{}
	}
	if p.made[r.Outcome] >= p.limit || len(p.records) > 4*p.limit {
		r.summarise("")
		return
	}
	if r.Outcome == Denied && r.Request != nil {
		from := network(r.Request.Address)
		if p.denied[from] >= max(1, p.limit/10) {
			r.summarise(name(from))
			return
		}
		p.denied[from]++
	}
	p.made[r.Outcome]++
}

// network returns the network of an address whose refusals are counted together.
func network(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}

// name returns the text of a network: an IPv4 address, or the network of an IPv6 address, because a
// client has all addresses of it.
func name(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "unknown"
	case p.Addr().Is4():
		return p.Addr().String()
	}
	return p.String()
}

// summarise makes r a record that many decisions share. from is the address that they have in
// common, or "".
func (r *Record) summarise(from string) {
	*r = Record{ID: r.ID, Time: r.Time, Action: r.Action, Kind: r.Kind, Outcome: r.Outcome, Instance: r.Instance,
		Reason: "summary"}
	if from != "" {
		r.Request = &HTTPRequest{Address: from}
	}
}

// same returns what r has in common with equal decisions.
func (r *Record) same() same {
	s := same{actor: r.Actor, action: r.Action, kind: r.Kind, outcome: r.Outcome, repository: r.Repository, name: r.Name,
		rule: r.Rule, reason: r.Reason}
	if q := r.Request; q != nil {
		s.method, s.path, s.address, s.agent = q.Method, q.Path, q.Address, q.UserAgent
	}
	return s
}

// take returns all records, and forgets them.
func (p *pending) take() map[same]*Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.records
	p.records = nil
	return all
}

// putBack adds records again that could not be stored.
func (p *pending) putBack(all map[same]*Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.records == nil {
		p.records = all
		return
	}
	for key, r := range all {
		newer := p.records[key]
		p.records[key] = r
		if newer != nil {
			p.merge(key, newer)
		}
	}
}

// Flush stores the decisions that are in memory, and returns once they are durable. Run calls it.
//
// Errors: any error of the driver. The decisions stay in memory then.
func (l *Log) Flush(ctx context.Context) error {
	all := l.pending.take()
	records := make([]Record, 0, len(all))
	for _, r := range all {
		records = append(records, *r)
	}
	stored, err := entries(records)
	if err == nil {
		err = l.store(ctx, stored)
	}
	if err != nil {
		l.pending.putBack(all)
		return err
	}
	return nil
}

// Run stores decisions every Options.Flush until ctx ends, and then the last ones. Every replica
// runs it.
//
// Errors: the error of ctx. Failures of the storage are logged and tried again.
func (l *Log) Run(ctx context.Context) error {
	for {
		err := pause.Sleep(ctx, l.opts.Flush)
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		if failure := l.Flush(work); failure != nil {
			l.log.ErrorContext(ctx, "audit: decisions are not stored yet", "error", failure)
		}
		cancel()
		if err != nil {
			return cmp.Or(ctx.Err(), err)
		}
	}
}
