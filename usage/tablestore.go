package usage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/registrykit/registry/internal/objectkey"
)

// The table of a repository is stored in parts, at s/r/<R>/<number>. Part 0 says how many there are,
// always a power of two. The first bits of a digest say in which part its entries are, so a change
// rewrites one part. The parts need not be of one version, see table.
const tablePrefix = prefix + "r/"

const (
	// maxPart is the maximum size of a part in bytes, for about 75,000 entries.
	maxPart = 4 << 20
	// maxParts is the maximum number of parts of a table.
	maxParts = 1 << 16
	// changesEvery is the number of bytes of a part for which a changed entry is worth a write. To
	// read a changed record again is cheaper than to write a large part.
	changesEvery = 64 << 10
)

// partHeader is the first line of a part.
type partHeader struct {
	header
	Repository string `json:"repository"`
	Parts      int    `json:"parts"`     // number of parts of the table
	Blobs      int    `json:"blobs"`     // number of entries of blobs, which come first
	Manifests  int    `json:"manifests"` // number of entries of manifests
}

func tableKeys(repo string) string { return tablePrefix + objectkey.Escape(repo) + "/" }

func partKey(repo string, part int) string { return fmt.Sprintf("%s%04x", tableKeys(repo), part) }

// partOf returns the part of a key in a table of that many parts.
func partOf(key string, parts int) int {
	var first uint16
	if len(key) > 2 && key[0] != packedOther {
		first = uint16(key[1])<<8 | uint16(key[2])
	} else {
		first = uint16(hash(key))
	}
	return int(uint32(first) * uint32(parts) >> 16)
}

// loadTable returns the table of a repository. A part that is absent or damaged has no entries.
//
// Errors: any error of the driver.
func (m *Meter) loadTable(ctx context.Context, repo string, c *call) (*table, error) {
	first, head, err := m.loadPart(ctx, repo, 0, c)
	if err != nil {
		return nil, err
	}
	if head.Parts < 1 || head.Parts > maxParts || bits.OnesCount(uint(head.Parts)) != 1 {
		return &table{version: first.version}, nil
	}
	parts := make([]*table, head.Parts)
	parts[0] = first
	err = c.each(head.Parts-1, func(i int) (err error) {
		parts[i+1], _, err = m.loadPart(ctx, repo, i+1, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	if head.Parts == 1 {
		first.parts = 1
		return first, nil
	}
	t := &table{parts: head.Parts}
	for i, p := range parts {
		t.blobs = append(t.blobs, p.blobs...)
		t.manifests = append(t.manifests, p.manifests...)
		t.version = append(t.version, p.version...)
		parts[i] = nil
	}
	t.blobs, t.manifests = sorted(t.blobs), sorted(t.manifests)
	return t, nil
}

// loadPart returns a part as a table with one version.
func (m *Meter) loadPart(ctx context.Context, repo string, part int, c *call) (*table, partHeader, error) {
	var head partHeader
	content, version, err := m.read(ctx, partKey(repo, part), &head, c)
	t := &table{version: []string{version}}
	if err != nil || content == nil || head.Repository != repo {
		return t, partHeader{}, err
	}
	d := decoder{rest: string(content)}
	blobs, manifests := d.entries(head.Blobs, true), d.entries(head.Manifests, false)
	if d.bad || d.rest != "" {
		return t, partHeader{}, nil
	}
	t.blobs, t.manifests = sorted(blobs), sorted(manifests)
	return t, head, nil
}

// storeTable writes the parts of a table of which enough has changed. A write that fails is harmless.
//
// Errors: the error of ctx.
func (m *Meter) storeTable(ctx context.Context, repo string, t *table, c *call) error {
	if len(t.changed) == 0 {
		return nil
	}
	parts := m.partsFor(t)
	changes := make([]int, parts)
	for _, key := range t.changed {
		changes[partOf(key, parts)]++
	}
	all := parts != t.parts
	return errors.Join(c.each(parts, func(i int) error {
		version := ""
		if i < len(t.version) {
			version = t.version[i]
		}
		if all || changes[i] > 0 {
			m.storePart(ctx, repo, i, parts, t, version, all, changes[i], c)
		}
		return ctx.Err()
	}), m.dropParts(ctx, repo, parts, len(t.version), c))
}

// dropParts deletes the parts from one number to below another one.
func (m *Meter) dropParts(ctx context.Context, repo string, from, to int, c *call) error {
	for i := from; i < to && ctx.Err() == nil; i++ {
		if err := c.request(ctx); err != nil {
			return err
		}
		_ = m.driver.Delete(ctx, partKey(repo, i), "") // nobody reads it, and a later table replaces it
	}
	return ctx.Err()
}

// partsFor returns into how many parts a table is divided: so many that a part is half full.
func (m *Meter) partsFor(t *table) int {
	size := int64(0)
	for _, list := range [][]entry{t.blobs, t.manifests} {
		for i := range list {
			size += int64(len(list[i].key)) + 24
		}
	}
	parts := 1
	for parts < maxParts && size/int64(parts) > m.partSize/2 {
		parts *= 2
	}
	if parts < t.parts && size/int64(parts) > m.partSize/4 {
		return t.parts // a table of a size around a limit keeps its parts
	}
	return parts
}

// storePart writes one part, if enough has changed. A failure is harmless.
func (m *Meter) storePart(ctx context.Context, repo string, part, parts int, t *table, version string, all bool,
	changes int, c *call) {
	head := partHeader{Repository: repo, Parts: parts}
	var content []byte
	for _, e := range t.blobs {
		if parts == 1 || partOf(e.key, parts) == part {
			content = appendEntry(content, &e, true)
			head.Blobs++
		}
	}
	for _, e := range t.manifests {
		if parts == 1 || partOf(e.key, parts) == part {
			content = appendEntry(content, &e, false)
			head.Manifests++
		}
	}
	size := int64(len(content))
	if size+1024 > m.partSize || !all && int64(changes) < size/changesEvery {
		return
	}
	_ = m.write(ctx, partKey(repo, part), version, &head, content, c)
}

// appendEntry adds an entry: the packed digest, the hash of the version, one more than the size, or zero
// if the record is not visible; and of a visible blob the bytes in the record, and the hash of its data
// if it has any.
func appendEntry(b []byte, e *entry, blob bool) []byte {
	if e.key[0] == packedOther {
		b = append(b, packedOther)
		b = binary.AppendUvarint(b, uint64(len(e.key)-1))
		b = append(b, e.key[1:]...)
	} else {
		b = append(b, e.key...)
	}
	b = binary.BigEndian.AppendUint64(b, e.version)
	b = binary.AppendUvarint(b, uint64(e.size+1))
	if blob && e.visible() {
		b = binary.AppendUvarint(b, uint64(e.inline))
		if e.size > e.inline {
			b = binary.BigEndian.AppendUint64(b, e.data)
		}
	}
	return b
}
