package storage

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
)

// pointerCollector removes what leads nowhere: tags, back references and entries of referrers whose
// manifest is not there, and back references of tags that have moved on. Each is removed in the
// version that was seen before it was looked where it leads, so what a push has written again
// stays.
type pointerCollector struct {
	*repoCollector
	backrefs *bloom // of tags, as keys
	led      *bloom // the back references that the tags need, as keys
	hinted   *bloom // the entries of referrers that have a hint, as keys

	mu    sync.Mutex
	stale []staleRef
}

// staleRef is a back reference of a tag that points elsewhere.
type staleRef struct {
	driver.Info
	digest digest.Digest
	tag    string
}

// collectPointers removes what leads nowhere in the repository.
func (r *repoCollector) collectPointers(ctx context.Context) error {
	limit := r.opts.Memory / 12
	p := &pointerCollector{repoCollector: r, backrefs: newBloom(limit), led: newBloom(limit), hinted: newBloom(limit)}
	steps := []struct {
		prefix string
		f      func(context.Context, driver.Info) error
		rest   func() error
	}{
		{backrefsPrefix(r.repo), p.backref, nil},
		{tagPrefix(r.repo), p.tag, nil},
		{backrefsPrefix(r.repo), p.moved, func() error { return p.settle(ctx) }},
		{typesPrefix(r.repo), p.hint, nil},
		{referrersPrefix(r.repo), p.referrer, nil},
	}
	for _, step := range steps {
		err := r.some(ctx, step.prefix, nil, func(info driver.Info) error { return step.f(ctx, info) }, step.rest)
		if err != nil {
			return err
		}
	}
	return nil
}

// hint notes that a referrer has a hint, or removes the hint of one that is not there.
func (p *pointerCollector) hint(ctx context.Context, info driver.Info) error {
	entry, ok := hintedEntry(p.repo, info.Key)
	if !ok {
		return nil
	}
	if gone, err := p.orphan(ctx, info, pathDigest(entry)); gone || err != nil {
		return err
	}
	p.hinted.add(entry)
	return nil
}

// referrer removes an entry of a referrer that is not there. It adds the hint of an entry that an
// older version has written.
func (p *pointerCollector) referrer(ctx context.Context, info driver.Info) error {
	d := pathDigest(info.Key)
	if gone, err := p.orphan(ctx, info, d); gone || err != nil {
		return err
	}
	if p.opts.DryRun || p.hinted.has(info.Key) || !p.old(info.ModTime) {
		return nil
	}
	e, err := p.s.readEntry(ctx, info.Key)
	subject := pathDigest(dir(dir(info.Key)))
	if err != nil || subject == "" || e.Descriptor.Digest != d {
		return err
	}
	p.s.hint(ctx, p.repo, subject, e.Descriptor)
	return nil
}

// orphan removes a pointer to a manifest that is not there, and reports whether it is one.
func (p *pointerCollector) orphan(ctx context.Context, info driver.Info, d digest.Digest) (bool, error) {
	if d == "" || p.there.has(string(d)) {
		return false, nil
	}
	m, err := p.s.readManifest(ctx, p.repo, d)
	if err != nil || !m.absent() {
		return false, err
	}
	if err := p.drop(ctx, info.Key, info.Version); changed(err) {
		return true, nil
	} else if err != nil {
		return true, wire(err)
	}
	p.count(func(r *CollectReport) { r.Removed.Pointers++ })
	return true, nil
}

// backref notes a back reference, or removes it if its manifest is not there.
func (p *pointerCollector) backref(ctx context.Context, info driver.Info) error {
	if gone, err := p.orphan(ctx, info, pathDigest(dir(info.Key))); gone || err != nil {
		return err
	}
	p.backrefs.add(info.Key)
	return nil
}

// tag removes a tag that points nowhere, and takes back that it is about to be moved by a push that
// has died. It gives it the back reference that it needs if there is none, and notes it.
func (p *pointerCollector) tag(ctx context.Context, info driver.Info) error {
	tag := base(info.Key)
	t, err := p.s.readEntry(ctx, info.Key)
	if err != nil || t.version == "" {
		return err
	}
	d := t.Descriptor.Digest
	if d == "" { // cut short
		if err := p.drop(ctx, info.Key, t.version); !changed(err) {
			return wire(err)
		}
		return nil
	}
	if gone, err := p.orphan(ctx, driver.Info{Key: info.Key, Version: t.version}, d); gone || err != nil {
		return err
	}
	// A tag that others move all the time is never old.
	over := func(n next) bool {
		if n.Lead != "" && time.Since(n.Time) < claimTime {
			return false // its push may have completed its lead, and conditional changes wait for it
		}
		return p.old(t.modTime) || !n.Time.IsZero() && p.old(n.Time)
	}
	if slices.ContainsFunc(t.Next, over) && !p.opts.DryRun {
		_, err := p.s.takeBack(ctx, p.repo, tag, t, over)
		if err == nil {
			t.Next = t.without(over)
		} else if !changed(err) {
			return wire(err)
		}
	}
	for _, n := range t.Next {
		p.led.add(backrefKey(p.repo, n.Descriptor.Digest, tag))
	}
	key := backrefKey(p.repo, d, tag)
	p.led.add(key)
	if p.backrefs.has(key) || p.opts.DryRun {
		return nil
	}
	_, err = p.s.putAlways(ctx, key, &mark{Nonce: nonce()})
	return wire(err)
}

// moved notes a back reference of a tag that points elsewhere, or is not there.
func (p *pointerCollector) moved(ctx context.Context, info driver.Info) error {
	tag, d := base(info.Key), pathDigest(dir(info.Key))
	if d == "" {
		return nil
	}
	if p.led.has(info.Key) || !p.old(info.ModTime) {
		p.tagged.add(string(d))
		return nil
	}
	led, err := p.leads(ctx, tag, d)
	if err != nil {
		return err
	}
	if led {
		p.tagged.add(string(d))
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale = append(p.stale, staleRef{Info: info, digest: d, tag: tag})
	return nil
}

// leads reports whether a tag points at a manifest, or is about to.
func (p *pointerCollector) leads(ctx context.Context, tag string, d digest.Digest) (bool, error) {
	t, err := p.s.readEntry(ctx, tagKey(p.repo, tag))
	return err == nil && t.leads(d), err
}

// settle removes the back references of tags that point elsewhere. A push that has written one may
// still be about to write to its tag: it looks at the version of the manifest afterwards, and
// begins again if it is another one. So the manifest is written again before the last look at the
// tag.
func (p *pointerCollector) settle(ctx context.Context) error {
	slices.SortFunc(p.stale, func(a, b staleRef) int { return cmp.Compare(a.digest, b.digest) })
	for len(p.stale) > 0 {
		d := p.stale[0].digest
		n := 1
		for n < len(p.stale) && p.stale[n].digest == d {
			n++
		}
		some := p.stale[:n]
		p.stale = p.stale[n:]
		if !p.opts.DryRun {
			touched, err := p.touch(ctx, d)
			if err != nil {
				return err
			}
			if !touched {
				continue
			}
		}
		err := p.parallel(len(some), func(i int) error {
			if led, err := p.leads(ctx, some[i].tag, d); err != nil || led {
				return err
			}
			if err := p.drop(ctx, some[i].Key, some[i].Version); changed(err) {
				return nil
			} else if err != nil {
				return wire(err)
			}
			p.count(func(r *CollectReport) { r.Removed.Pointers++ })
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// touch gives a manifest another version, if it is not about to have one anyway.
func (p *pointerCollector) touch(ctx context.Context, d digest.Digest) (bool, error) {
	m, err := p.s.readManifest(ctx, p.repo, d)
	if err != nil || m.State != visible {
		return false, err
	}
	_, err = p.s.setVisible(ctx, p.repo, d, m)
	if changed(err) {
		return false, nil
	}
	return err == nil, wire(err)
}
