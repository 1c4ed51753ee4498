package registry

import (
	"iter"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxNames is the number of bytes of names after which a page ends. Its Link continues from
	// there.
	maxNames = 4 << 20
	// maxPageTime is the time after which a page of any list ends. Its Link continues from there.
	maxPageTime = 5 * time.Second
)

func (c *call) listRepositories() error {
	names, err := c.page(repositoryNames, func(opts *ListOptions) iter.Seq2[scanned, error] {
		return c.backend.scan(&c.ctx, opts)
	})
	if err != nil {
		return err
	}
	return c.writeNames(`{"repositories":`, names)
}

func (c *call) listTags() error {
	tags, err := c.page(tagNames, func(opts *ListOptions) iter.Seq2[scanned, error] {
		return c.backend.scanTags(&c.ctx, c.op.Repository, opts)
	})
	if err != nil {
		return err
	}
	return c.writeNames(string(appendText([]byte(`{"name":`), c.target.repo))+`,"tags":`, tags)
}

// writeNames sends a JSON object: begin, which ends at the last value, and the names as that value.
func (c *call) writeNames(begin string, names []string) error {
	content := append(c.r.scratch.get(), begin...)
	content = append(appendTexts(content, names), '}')
	return c.writeList("application/json", content)
}

// page returns the elements of a list that the parameters n and last select and that the caller may
// see. The result is never nil. page sets the Link header if there are more elements, or may be.
//
// The parameter last is a cursor, or any text, after which the names begin that are greater; it
// need not be a name. page requests one element more than it returns, to know whether there are
// more. It does so even for n=0, because only then does an unknown repository cause an error.
func (c *call) page(kind *nameKind, scan func(*ListOptions) iter.Seq2[scanned, error]) ([]string, error) {
	n, err := countParam(c.query, c.r.opts.PageSize)
	if err != nil {
		return nil, err
	}
	list := c.target
	list.repo = c.op.Repository // the same path may mean another list, by the parameter ns
	cursorOf := c.backend.identity.Name + "\x00" + list.path()
	last, err := oneParam(c.query, "last", kind.invalid)
	switch {
	case err != nil:
		return nil, err
	case c.r.cursors.isCursor(last):
		if last, err = c.r.cursors.open(last, cursorOf); err != nil {
			return nil, kind.invalid.WithMessage("the parameter last: " + err.Error())
		}
	case last != "":
		last = kind.after(last)
	}
	names, next := []string{}, ""
	hidden, started, size := 0, time.Now(), 0
	for s, err := range scan(&ListOptions{After: last, PageHint: n + 1}) {
		if err != nil {
			return nil, err
		}
		if s.visible {
			late := size > maxNames || len(names)%64 == 63 && time.Since(started) > maxPageTime
			if len(names) == n || late {
				if len(names) > 0 {
					next = names[len(names)-1]
				}
				break
			}
			names = append(names, s.name)
			size += len(s.name)
			continue
		}
		if hidden++; hidden >= maxScanned || hidden%64 == 0 && time.Since(started) > maxScanTime {
			next = c.r.cursors.seal(s.name, cursorOf)
			break
		}
	}
	if next != "" && n > 0 {
		c.linkNext(url.Values{"n": {strconv.Itoa(n)}, "last": {next}})
	}
	return names, nil
}

// linkNext sets the header that names the next page (RFC 8288).
func (c *call) linkNext(q url.Values) {
	if c.namespace != "" {
		q.Set("ns", c.namespace)
	}
	c.w.Header().Set("Link", "<"+c.prefix()+c.target.path()+"?"+q.Encode()+`>; rel="next"`)
}
