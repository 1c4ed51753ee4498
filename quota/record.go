package quota

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// maxHolds is the maximum number of pushes below one prefix at a time. A hold takes about 80 bytes.
const maxHolds = 4096

// maxEpochs is the maximum length of record.Added. There are two epochs unless counts fail.
const maxEpochs = 16

// maxNew is the maximum length of record.New.
const maxNew = 64

// record is what is known of a prefix. The model internal/model/quota.pml has the same names.
type record struct {
	Nonce string `json:"nonce"` // makes each version unique
	Life  string `json:"life"`  // names the record from its creation to its removal or loss
	// Epoch is the present epoch. Each count begins a new one.
	Epoch int64 `json:"epoch"`
	// Counted is the result of the last count, or nil if there was none.
	Counted *counted `json:"counted,omitempty"`
	// Counting is the count that began last and has not ended, or nil.
	Counting *counting `json:"counting,omitempty"`
	// Added has what pushes have added that have ended, by the epoch in which that was written.
	Added []added `json:"added,omitempty"`
	// Holds has what pushes hold that have not ended, by an identifier.
	Holds map[string]hold `json:"holds,omitempty"`
	// New has repositories that were charged since the last count, at most maxNew. A push whose look was
	// too early to see such a repository is not charged for it again.
	New []string `json:"new,omitempty"`
	// Over has the resources that exceed their soft limit.
	Over []Resource `json:"over,omitempty"`
}

// counted is the result of a count.
type counted struct {
	Figure Amounts   `json:"figure"`
	Covers int64     `json:"covers"` // the last epoch whose pushes the figure has
	Gen    string    `json:"gen"`    // names the result among all
	Time   time.Time `json:"time"`   // when the count began
}

// counting is a count that goes on, or whose process has died.
type counting struct {
	Epoch int64     `json:"epoch"`
	Time  time.Time `json:"time"`
}

// added is what pushes have added in one epoch. Free is what they have stored that the prefix had
// already. It is part of the figure only if a count may have missed it.
type added struct {
	Epoch   int64   `json:"epoch"`
	Charged Amounts `json:"charged"`
	Free    Amounts `json:"free"`
}

// hold is what a push holds that goes on.
type hold struct {
	Charged Amounts `json:"charged"`
	Free    Amounts `json:"free"`
	Time    int64   `json:"time"` // when it was last renewed, in seconds since 1970
	// Repository is the one to which the push goes. All pushes to a new repository hold it once together.
	Repository string `json:"repository,omitempty"`
}

// newName returns a random name.
func newName() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// newRecord returns the record of a prefix that has not been counted.
func newRecord() *record { return &record{Life: newName(), Epoch: 1} }

// clone returns a copy that can be changed.
func (r *record) clone() *record {
	c := *r
	c.Added, c.Holds, c.Over = slices.Clone(r.Added), maps.Clone(r.Holds), slices.Clone(r.Over)
	c.New = slices.Clone(r.New)
	if c.Holds == nil {
		c.Holds = map[string]hold{}
	}
	return &c
}

// gen returns the name of the last count, or "" if there was none.
func (r *record) gen() string {
	if r.Counted == nil {
		return ""
	}
	return r.Counted.Gen
}

// added returns what was added to the figure of the last count.
func (r *record) added() (sum Amounts) {
	for _, a := range r.Added {
		sum = sum.plus(a.Charged)
	}
	return sum
}

// held returns what the pushes hold that go on.
func (r *record) held() (sum Amounts) {
	var repos map[string]struct{}
	for _, h := range r.Holds {
		part := h.Charged
		if h.isNew(h.Repository) {
			if _, twice := repos[h.Repository]; twice {
				part.Repositories = 0
			} else if repos == nil {
				repos = map[string]struct{}{}
			}
			repos[h.Repository] = struct{}{}
		}
		sum = sum.plus(part)
	}
	return sum
}

// isNew reports whether the push goes to repo, and is charged for it because it is new.
func (h hold) isNew(repo string) bool {
	return repo != "" && h.Repository == repo && h.Charged.Repositories > 0
}

// shares reports whether another push than id is charged for a new repository.
func (r *record) shares(id, repo string) bool {
	for other, h := range r.Holds {
		if other != id && h.isNew(repo) {
			return true
		}
	}
	return false
}

// figure returns what the prefix has, with what the pushes hold that go on.
func (r *record) figure() Amounts {
	var counted Amounts
	if r.Counted != nil {
		counted = r.Counted.Figure
	}
	return counted.plus(r.added()).plus(r.held())
}

var (
	// errUncounted is returned if the prefix must be counted before a push can be admitted.
	errUncounted = errors.New("quota: the prefix has not been counted yet")
	// errMoved is returned if a count has ended since the push looked for what the prefix has.
	errMoved = errors.New("quota: the prefix was counted in the meantime")
)

// claim is what a push needs.
type claim struct {
	// charged is new in the prefix. free is what the prefix had when the push looked, which was after
	// the count with the name gen.
	charged, free Amounts
	gen           string
	// repository is the one to which the push goes, if repositories are limited.
	repository string
	// has are names of what the prefix has once the push has succeeded, see Quotas.seen.
	has []string
}

func (c *claim) empty() bool { return c.charged == Amounts{} && c.free == Amounts{} }

// hold makes the push id hold c, instead of what it held before.
//
// Errors: *excess, errUncounted, errMoved, errTooMany.
func (r *record) hold(id string, c claim, max Amounts, now time.Time) error {
	if r.Counted == nil {
		return errUncounted
	}
	if c.free != (Amounts{}) && c.gen != r.Counted.Gen {
		return errMoved
	}
	h, again := r.Holds[id]
	if !again && len(r.Holds) >= maxHolds {
		return errTooMany
	}
	if c.charged.Repositories > 0 && slices.Contains(r.New, c.repository) {
		c.free.Repositories += c.charged.Repositories
		c.charged.Repositories = 0
	}
	before, needs := h.Charged, c.charged
	if needs.Repositories > 0 && r.shares(id, c.repository) {
		before.Repositories, needs.Repositories = 0, 0
	}
	used := r.figure().minus(before)
	for _, res := range resources() {
		need, limit := needs.Of(res), max.Of(res)
		if limit > 0 && need > h.Charged.Of(res) && need > limit-min(used.Of(res), limit) {
			return &excess{resource: res, limit: limit, used: used.Of(res), needed: need}
		}
	}
	r.Holds[id] = hold{Charged: c.charged, Free: c.free, Time: now.Unix(), Repository: c.repository}
	return nil
}

// end ends the push id. If it may have stored anything, that is c. A hold that is missing makes no
// difference: the record was lost, or the hold has expired; then c may count twice.
func (r *record) end(id string, c claim, stored bool) {
	h, held := r.Holds[id]
	delete(r.Holds, id)
	if !stored {
		return
	}
	if had := h.Charged.Repositories; held && c.charged.Repositories > had { // another push was charged
		c.free.Repositories += c.charged.Repositories - had
		c.charged.Repositories = had
	}
	if c.gen != r.gen() {
		c.charged, c.free = c.charged.plus(c.free), Amounts{} // a count has ended that may have missed it
	}
	if slices.Contains(r.New, c.repository) {
		c.free.Repositories += c.charged.Repositories
		c.charged.Repositories = 0
	}
	if c.charged.Repositories > 0 {
		r.charged(c.repository)
	}
	r.add(r.Epoch, c.charged, c.free)
}

// charged notes that a repository that was new has been added, so that no other push adds it again.
func (r *record) charged(repo string) {
	if repo != "" && len(r.New) < maxNew && !slices.Contains(r.New, repo) {
		r.New = append(r.New, repo)
	}
	for id, h := range r.Holds {
		if h.isNew(repo) {
			h.Free.Repositories += h.Charged.Repositories
			h.Charged.Repositories = 0
			r.Holds[id] = h
		}
	}
}

// add adds amounts to an epoch.
func (r *record) add(epoch int64, charged, free Amounts) {
	i, found := slices.BinarySearchFunc(r.Added, epoch, func(a added, e int64) int { return int(a.Epoch - e) })
	if !found {
		r.Added = slices.Insert(r.Added, i, added{Epoch: epoch})
	}
	a := &r.Added[i]
	a.Charged, a.Free = a.Charged.plus(charged), a.Free.plus(free)
	for len(r.Added) > maxEpochs { // what belongs to a later epoch is only counted for longer
		first := r.Added[0]
		r.Added = r.Added[1:]
		r.Added[0].Charged = r.Added[0].Charged.plus(first.Charged)
		r.Added[0].Free = r.Added[0].Free.plus(first.Free)
	}
}

// expired reports whether a push has not renewed what it holds for longer than limit.
func (h hold) expired(now time.Time, limit time.Duration) bool {
	return now.Sub(time.Unix(h.Time, 0)) > limit
}

// beginCount begins a count. Pushes that have ended before are in what it will list, and so are those
// whose process has died: what they hold counts as added.
func (r *record) beginCount(now time.Time, expiry time.Duration) (life string, epoch int64) {
	epoch = r.Epoch
	for id, h := range r.Holds {
		if h.expired(now, expiry) {
			delete(r.Holds, id)
			r.add(epoch, h.Charged, h.Free)
		}
	}
	r.Epoch++
	r.Counting = &counting{Epoch: epoch, Time: now}
	return r.Life, epoch
}

// endCount makes c the result of the last count. It reports false if a later count has ended, or if
// the record was lost. Whatever has been stored since the count began may be in it or not, so it
// counts as added, also what was free.
func (r *record) endCount(life string, c counted) bool {
	if r.Life != life || r.Counted != nil && r.Counted.Covers >= c.Covers {
		return false
	}
	r.Added = slices.DeleteFunc(r.Added, func(a added) bool { return a.Epoch <= c.Covers })
	for i := range r.Added {
		a := &r.Added[i]
		a.Charged, a.Free = a.Charged.plus(a.Free), Amounts{}
	}
	for id, h := range r.Holds {
		h.Charged, h.Free = h.Charged.plus(h.Free), Amounts{}
		r.Holds[id] = h
	}
	c.Gen = newName()
	r.Counted, r.New = &c, nil
	if r.Counting != nil && r.Counting.Epoch <= c.Covers {
		r.Counting = nil
	}
	return true
}

// cross notes which resources exceed their soft limit, and returns those that did not before.
func (r *record) cross(soft Amounts) (crossed []Resource) {
	if r.Counted == nil {
		return nil
	}
	var over []Resource
	figure := r.figure()
	for _, res := range resources() {
		if limit := soft.Of(res); limit > 0 && figure.Of(res) > limit {
			over = append(over, res)
			if !slices.Contains(r.Over, res) {
				crossed = append(crossed, res)
			}
		}
	}
	r.Over = over
	return crossed
}

// maxRecord is the maximum size of a record, in bytes.
const maxRecord = 1 << 20

// encode returns the object of a record: its checksum, and JSON.
func (r *record) encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return append([]byte(checksum(b)), b...), nil
}

func checksum(b []byte) string {
	return strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10) + "\n"
}

// decode returns the record of an object. ok is false if the object is damaged.
func decode(b []byte) (r *record, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 || string(b[:i+1]) != checksum(b[i+1:]) {
		return nil, false
	}
	r = &record{}
	if json.Unmarshal(b[i+1:], r) != nil || r.Life == "" || r.Epoch < 1 {
		return nil, false
	}
	return r, true
}

// readRecord reads a record, and returns its version. A missing record is that of a prefix that has
// not been counted, and so is a damaged one: no push is admitted before the next count.
//
// Errors: driver.ErrNotModified if the record still has the version known; any error of the driver.
func readRecord(ctx context.Context, d driver.Driver, key, known string) (*record, string, error) {
	body, info, err := d.Open(ctx, key, &driver.OpenOptions{IfNotVersion: known})
	if errors.Is(err, driver.ErrNotExist) {
		return newRecord(), "", nil
	}
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(io.LimitReader(body, maxRecord+1))
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, "", err
	}
	r, ok := decode(b)
	if !ok {
		r = newRecord()
	}
	return r, info.Version, nil
}

// writeRecord writes a record in place of the one with a version; "" means that there is none. It
// returns the new version.
//
// Errors: driver.ErrExist and driver.ErrChanged; any error of the driver.
func writeRecord(ctx context.Context, d driver.Driver, key, version string, r *record) (string, error) {
	b, err := r.encode()
	if err != nil {
		return "", err
	}
	info, err := d.Put(ctx, key, bytes.NewReader(b),
		&driver.PutOptions{IfAbsent: version == "", IfVersion: version, Size: int64(len(b))})
	return info.Version, err
}
