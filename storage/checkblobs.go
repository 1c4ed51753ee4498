package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// indexAtOnce is the number of entries of the index of blobs that are handled together.
const indexAtOnce = 1024

// Blobs compares the bytes of the blobs of all repositories with their digests, in the order of the
// index of blobs. In that order, the repositories that share bytes come together, so all bytes are read
// once, and memory does not grow with the storage. It leaves out blobs that are in their record
// ([InlineSize]), and blobs that the index lacks: [Check.Repository] compares those.
//
// after is where an earlier call stopped, or "". Blobs calls done, unless it is nil, with the position
// up to which everything is checked, about every thousand blobs.
//
// With Repair, damaged bytes are quarantined: no new link to them becomes live, and then the blob is
// deleted from every repository whose blob has these bytes, as [Store.DeleteBlob] does. A repository is
// repaired at once if another one has the blob with whole bytes.
//
// Errors: any error of the driver, of CheckOptions.Lost and CheckOptions.Unreadable, and of done.
func (c *Check) Blobs(ctx context.Context, after string, done func(after string) error) error {
	opts := &driver.ListOptions{After: after, KeysOnly: true}
	var last *copies
	for batch, err := range object.Batches(c.store.objects.Driver.List(ctx, object.IndexesPrefix, opts), indexAtOnce) {
		if err != nil {
			return err
		}
		groups := groupCopies(batch, last)
		err := parallel.Each(c.opts.Parallel, len(groups), func(i int) error { return c.checkCopies(ctx, groups[i]) })
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && done != nil {
			err = done(batch[len(batch)-1].Key)
		}
		if err != nil {
			return err
		}
		last = nil
		if len(groups) > 0 {
			last = groups[len(groups)-1]
		}
	}
	return nil
}

// copies are the copies of a blob in some repositories.
type copies struct {
	digest   digest.Digest
	repos    []string
	verdicts map[[sha256.Size]byte]verdict // by object.Link.DataID, of the bytes that were read
}

// groupCopies groups entries of the index by their blob. last is the last group of the batch before, or
// nil.
func groupCopies(batch []driver.Info, last *copies) []*copies {
	var groups []*copies
	for _, info := range batch {
		repo, d, ok := object.Indexed(info.Key)
		if !ok || checkBlob(repo, d) != nil {
			continue
		}
		if n := len(groups); n == 0 || groups[n-1].digest != d {
			g := &copies{digest: d, verdicts: map[[sha256.Size]byte]verdict{}}
			if n == 0 && last != nil && last.digest == d {
				g.verdicts = last.verdicts
			}
			groups = append(groups, g)
		}
		g := groups[len(groups)-1]
		g.repos = append(g.repos, repo)
	}
	return groups
}

// checkCopies reads the bytes of the copies of a blob that are not in their record, and handles those
// that are damaged.
func (c *Check) checkCopies(ctx context.Context, g *copies) error {
	for _, name := range g.repos {
		r := c.repo(name)
		l, err := r.ReadLink(ctx, g.digest)
		if err != nil {
			return err
		}
		if !l.Readable() && l.State != object.Hidden || len(l.Segments) == 0 {
			continue
		}
		v, seen := g.verdicts[l.DataID()]
		if !seen {
			if v, l, err = c.examine(ctx, r, g.digest, l); err != nil {
				if err = c.unreadable(ctx, name, g.digest, err); err != nil {
					return err
				}
				v = verdict{whole: true} // nothing is known
			}
			g.verdicts[l.DataID()] = v
		}
		if v.whole {
			continue
		}
		if err := c.damagedLink(ctx, r, g.digest, l, v); err != nil {
			return err
		}
	}
	return nil
}

// damagedLink handles a link that states wrong sizes of right bytes, or has wrong bytes, as v says.
func (c *Check) damagedLink(ctx context.Context, r repo, d digest.Digest, l *object.Link, v verdict) error {
	damage := Damage{Kind: CorruptBlob, Repository: r.Name, Digest: d, Expected: v.expected, Found: v.found}
	if v.right != nil {
		damage.Kind = WrongSize
		repaired, err := c.correctLink(ctx, r, d, l, v.right)
		if err != nil {
			return err
		}
		if repaired || !c.opts.Repair {
			if repaired {
				damage.Repair = Repaired
			}
			c.found(damage)
			return nil
		}
		damage.Kind = CorruptBlob // the right bytes are condemned by a collection
	}
	if c.opts.Repair {
		return c.quarantine(ctx, r.Name, d, l, damage)
	}
	if _, err := c.opts.Lost(ctx, Loss{Repository: r.Name, Digest: d, Size: l.Size, Reason: CorruptBlob}); err != nil {
		return err
	}
	c.found(damage)
	return nil
}

// correctLink publishes a blob again whose link l states wrong sizes, as a push of the blob does. right
// is the link with the real sizes. It reports whether the blob is whole now.
func (c *Check) correctLink(ctx context.Context, r repo, d digest.Digest, l, right *object.Link) (bool, error) {
	if !c.opts.Repair || l.State == object.Pending || l.State == object.Hidden || l.Unproven {
		return false, nil
	}
	_, err := r.Publish(ctx, d, right, object.Publishing{Verify: true})
	if errors.Is(err, object.ErrCondemned) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, object.RegistryError(r.Driver.Sync(ctx, r.LinkKey(d)))
}

// quarantine takes the bytes of the link l, which are not those of d, out of service in all
// repositories, and restores the blob where another repository has whole bytes. l is the link of the
// repository first, which the index may lack.
//
// Tombstones come first: they keep pushes and mounts from making further links to the bytes live, as
// they do for bytes that a collection removes. Then the links are looked for.
func (c *Check) quarantine(ctx context.Context, first string, d digest.Digest, l *object.Link, damage Damage) error {
	bad := badData{id: l.DataID(), names: map[string]bool{}, damage: damage}
	for _, seg := range l.Segments {
		bad.names[seg.Name] = true
	}
	if err := c.store.objects.Condemn(ctx, l.Segments); err != nil {
		return err
	}
	c.quarantinedMu.Lock()
	if len(c.quarantined) < maxQuarantined {
		c.quarantined[bad.id] = bad
	}
	c.quarantinedMu.Unlock()
	return c.removeAll(ctx, first, d, bad)
}

const (
	// maxLooks is how often a quarantine looks for links to damaged bytes. No look after the first finds
	// one, except a link that was becoming live.
	maxLooks = 4
	// maxQuarantined is the maximum length of Check.quarantined.
	maxQuarantined = 10_000
)

// LookAgain looks once more for links to the bytes that this check has quarantined. A push or mount that
// had looked for a tombstone before there was one, and that added its link to the index after the look
// of the quarantine, has made such a link live since. Call it some time after [Check.Blobs].
//
// Errors: any error of the driver, and of CheckOptions.Lost.
func (c *Check) LookAgain(ctx context.Context) error {
	for _, bad := range c.quarantined {
		if err := c.removeAll(ctx, "", bad.damage.Digest, bad); err != nil {
			return err
		}
	}
	return nil
}

// removeAll deletes the links of the blob d that name damaged bytes from all repositories, and from the
// repository first, unless it is "".
func (c *Check) removeAll(ctx context.Context, first string, d digest.Digest, bad badData) error {
	affected := map[string]bool{} // by repository: whether the blob was served
	look := func(name string) (removed bool, err error) {
		served, removed, err := c.removeBad(ctx, name, d, bad)
		if removed {
			affected[name] = affected[name] || served
		}
		return removed, err
	}
	for range maxLooks {
		again := false
		if first != "" {
			removed, err := look(first)
			if err != nil {
				return err
			}
			again = removed
		}
		for name, err := range c.store.indexed(ctx, d, "", 0) {
			if err != nil {
				return err
			}
			if checkBlob(name, d) != nil {
				continue
			}
			removed, err := look(name)
			if err != nil {
				return err
			}
			again = again || removed
		}
		if !again {
			break
		}
	}
	if len(affected) == 0 {
		return nil
	}
	return c.settleQuarantine(ctx, d, affected, bad.damage)
}

// settleQuarantine restores the blob d in the repositories where it was served, if another repository
// has it, and reports the damage of each.
func (c *Check) settleQuarantine(ctx context.Context, d digest.Digest, affected map[string]bool, damage Damage) error {
	source, err := c.wholeSource(ctx, d)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(affected))
	for name := range affected {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		damage.Repository, damage.Repair = name, Quarantined
		if affected[name] && source != "" {
			shared, err := c.share(ctx, c.repo(name), d, source)
			if err != nil {
				return err
			}
			if shared {
				damage.Repair = Repaired
			}
		}
		c.found(damage)
	}
	return nil
}

// badData identifies damaged bytes.
type badData struct {
	id    [sha256.Size]byte // see object.Link.DataID
	names map[string]bool   // of segments

	damage Damage // as it is reported
}

// in reports whether a link names the bytes.
func (b badData) in(l *object.Link) bool {
	return l.DataID() == b.id || slices.ContainsFunc(l.Segments, func(s object.Segment) bool { return b.names[s.Name] })
}

// removeBad deletes the link of the blob d in a repository as long as it names damaged bytes. It takes
// the steps of Store.DeleteBlob, and also removes links that are not served, as collections do. served
// reports whether the blob was served.
func (c *Check) removeBad(ctx context.Context, name string, d digest.Digest, bad badData) (served, removed bool,
	err error) {
	r := c.repo(name)
	recorded := false
	for range object.Attempts(ctx, &err) {
		l, err := r.ReadLink(ctx, d)
		if err != nil || l.State == object.Gone || !bad.in(l) {
			return served, removed, err
		}
		served = served || l.Readable()
		if !recorded && served {
			if _, err := c.opts.Lost(ctx, Loss{Repository: name, Digest: d, Size: l.Size, Reason: CorruptBlob}); err != nil {
				return served, false, err
			}
			recorded = true
		}
		if l.State == object.Live || l.State == object.Pending {
			if l, err = r.SetLink(ctx, d, l, object.Condemned); driver.IsConflict(err) {
				continue
			} else if err != nil {
				return served, false, object.RegistryError(err)
			}
		}
		if err := r.EndEpoch(ctx, "", object.BlobDeleted, nil); err != nil {
			return served, false, err
		}
		err = r.RemoveLink(ctx, d, l)
		if driver.IsConflict(err) {
			r.IndexBlob(ctx, d) // RemoveLink has removed that key already
			continue
		}
		return served, true, errors.Join(object.RegistryError(err), r.SyncAfter(ctx, err, r.LinkKey(d)))
	}
	return served, removed, err
}

// wholeSource returns a repository that has the blob d with whole bytes, or "".
func (c *Check) wholeSource(ctx context.Context, d digest.Digest) (string, error) {
	n := 0
	for name, err := range c.store.indexed(ctx, d, "", 0) {
		if err != nil {
			return "", err
		}
		if n++; n > maxMountReads {
			break
		}
		if checkBlob(name, d) != nil {
			continue
		}
		r := c.repo(name)
		l, err := r.ReadLink(ctx, d)
		if err != nil {
			return "", err
		}
		if !l.Readable() {
			continue
		}
		v, now, err := c.examine(ctx, r, d, l)
		if err != nil {
			if err = c.unreadable(ctx, name, d, err); err != nil {
				return "", err
			}
			continue
		}
		if v.whole && now.Readable() {
			return name, nil
		}
	}
	return "", nil
}

// share gives a repository a blob that another one has, as a mount does, and reports whether it has it
// now.
func (c *Check) share(ctx context.Context, r repo, d digest.Digest, from string) (bool, error) {
	_, err := r.shareFrom(ctx, d, from, object.Publishing{})
	if errors.Is(err, object.ErrMissing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, object.RegistryError(r.Driver.Sync(ctx, r.LinkKey(d)))
}
