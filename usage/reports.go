package usage

import (
	"context"
	"slices"

	"github.com/registrykit/registry"
)

// Reports returns the reports of several repositories and prefixes, by prefix, for a page that shows a list
// of them. It leaves out those in which there is no repository. It makes two requests if the prefixes follow
// each other in a list of [Meter.Children], and at most one more than there are prefixes.
//
// Errors: ErrNotCounted; registry.ErrNameInvalid; any error of the driver.
func (m *Meter) Reports(ctx context.Context, prefixes []string) (map[string]Report, error) {
	for _, prefix := range prefixes {
		if err := registry.CheckName(prefix); err != nil {
			return nil, err
		}
	}
	wanted := slices.Clone(prefixes)
	slices.SortFunc(wanted, compareRows)
	wanted = slices.Compact(wanted)
	var all map[string]Report
	_, err := m.current(ctx, func(r *root, c *call) error {
		all = map[string]Report{}
		for rest := wanted; len(rest) > 0; {
			page := r.page(rest[0])
			if page == len(r.Last) {
				return nil
			}
			n := 1
			for n < len(rest) && r.page(rest[n]) == page {
				n++
			}
			if err := m.rowsOf(ctx, r, page, rest[:n], all, c); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	return all, err
}

// rowsOf adds the reports of prefixes, in the order of compareRows, whose rows are in one page.
//
// Errors: errGone; any error of the driver.
func (m *Meter) rowsOf(ctx context.Context, r *root, page int, prefixes []string, to map[string]Report, c *call) error {
	for row, err := range m.rows(ctx, r, page, c) {
		if err != nil {
			return err
		}
		for len(prefixes) > 0 && compareRows(prefixes[0], row.prefix) < 0 {
			prefixes = prefixes[1:]
		}
		if len(prefixes) == 0 {
			return nil
		}
		if prefixes[0] == row.prefix {
			to[row.prefix] = row.report(r.Counted)
		}
	}
	return nil
}
