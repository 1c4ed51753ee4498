package web

import (
	"cmp"
	"slices"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/web/internal/plot"
)

// usageViews are the views of usage.
func usageViews() []view {
	return []view{{name: "usage", method: "GET", path: "/usage", part: "usage", handle: showUsage}}
}

// maxFrees is the maximum number of rows of what frees most.
const maxFrees = 10

// usagePage is what the template "usage" shows.
type usagePage struct {
	Prefix string
	// Above are the links to the prefixes above Prefix.
	Above []prefixLink
	// Counted reports whether there are figures yet.
	Counted bool
	Usage   types.Usage
	// Shared is the part of the physical size that other repositories need, too, if Exclusive is known.
	Shared int64
	// Frees are those below the prefix whose delete frees most.
	Frees []usageRow
	// Below are the prefixes and repositories directly below the prefix.
	Below []usageRow
	Next  string
	// Plot shows the physical and the logical size by day, and Days are its figures.
	Plot *plot.Lines
	Days []types.UsageDay
	// Owned is set for a caller who may not see the figures of the whole registry: Below are then the namespaces of the
	// caller.
	Owned bool
	// Quotas reports whether there is a view of quotas.
	Quotas bool
	// Job reports whether the caller can request a count at the view of jobs.
	Job bool
}

// prefixLink is a link to a prefix.
type prefixLink struct{ Title, Prefix string }

// usageRow is a prefix or repository with its bar.
type usageRow struct {
	types.Usage
	Bar plot.Bar
}

// showUsage shows what a prefix of names holds.
func showUsage(q *request) (*answer, error) {
	page := usagePage{Prefix: q.value("prefix"), Counted: true,
		Quotas: q.has("quotas"),
		Job:    q.has("jobs") && q.mayRegistry(auth.NameJobs, auth.Read)}
	var err error
	whole := q.mayRegistry(auth.NameUsage, auth.Read)
	switch {
	case page.Prefix == "" && !whole:
		err = q.ownUsage(&page)
	case page.Prefix != "" && registry.CheckName(page.Prefix) != nil:
		return nil, errNotFound
	default:
		err = q.usageOf(&page)
	}
	if notCounted(err) {
		page.Counted, err = false, nil
	}
	if absent(err) && page.Prefix != "" {
		return nil, q.need(false)
	}
	if err != nil {
		return nil, err
	}
	page.Above = above(page.Prefix)
	title := q.language.Text("Usage")
	if page.Prefix != "" {
		title = page.Prefix + " · " + title
	}
	return q.show(title, page), nil
}

// usageOf reads the figures of a prefix, and of what is below it: three calls.
func (q *request) usageOf(page *usagePage) (err error) {
	if page.Usage, err = q.visitor.Usage(q.Context(), page.Prefix); err != nil {
		return err
	}
	if exclusive := page.Usage.Figures.Exclusive; exclusive != nil {
		page.Shared = max(0, page.Usage.Figures.Physical-*exclusive)
	}
	page.Days = page.Usage.History
	page.Plot = sizes(page.Days)
	if page.Usage.Children == 0 {
		return nil
	}
	largest, err := q.visitor.Largest(q.Context(), page.Prefix, 0)
	if err != nil {
		return err
	}
	page.Frees = frees(largest)
	list := q.listPage()
	below, err := collect(q.visitor.OnPage(list).UsageBelow(q.Context(), page.Prefix))
	if err != nil {
		return err
	}
	longest := int64(0)
	if len(largest) > 0 {
		longest = largest[0].Figures.Physical
	}
	page.Next = q.next(list)
	if list.After == "" && list.Next == "" { // all of them
		slices.SortStableFunc(below, func(a, b types.Usage) int {
			return cmp.Compare(b.Figures.Physical, a.Figures.Physical)
		})
	}
	page.Below = rows(below, longest)
	return nil
}

// ownUsage reads the figures of the namespaces of the caller.
func (q *request) ownUsage(page *usagePage) error {
	page.Owned = true
	names, err := q.owned()
	if err != nil {
		return err
	}
	var all []types.Usage
	longest := int64(0)
	for _, name := range names {
		u, err := q.visitor.Usage(q.Context(), name)
		if notCounted(err) {
			return err
		}
		if absent(err) {
			continue
		}
		if err != nil {
			return err
		}
		longest = max(longest, u.Figures.Physical)
		all = append(all, u)
	}
	page.Below = rows(all, longest)
	return nil
}

// rows returns prefixes with their bars.
func rows(all []types.Usage, longest int64) (list []usageRow) {
	for _, u := range all {
		part := int64(0)
		if u.Figures.Exclusive != nil {
			part = *u.Figures.Exclusive
		}
		bar := plot.NewBar(part, u.Figures.Physical, longest)
		if u.Figures.Exclusive != nil && part == 0 {
			bar = plot.Bar{First: "0.0", Rest: bar.First}
		}
		list = append(list, usageRow{u, bar})
	}
	return list
}

// frees returns those whose delete frees most, the first one first. It is empty for a caller who may not see that.
func frees(largest []types.Usage) []usageRow {
	known := slices.DeleteFunc(slices.Clone(largest), func(u types.Usage) bool {
		return u.Figures.Exclusive == nil || *u.Figures.Exclusive == 0
	})
	slices.SortStableFunc(known, func(a, b types.Usage) int {
		return cmp.Compare(*b.Figures.Exclusive, *a.Figures.Exclusive)
	})
	var list []usageRow
	for _, u := range known[:min(len(known), maxFrees)] {
		list = append(list, usageRow{u, plot.NewBar(0, *u.Figures.Exclusive, *known[0].Figures.Exclusive)})
	}
	return list
}

// sizes returns the plot of the sizes by day, or nil.
func sizes(days []types.UsageDay) *plot.Lines {
	var physical, logical []plot.Point
	for _, d := range days {
		physical = append(physical, plot.Point{At: d.Counted, Value: d.Figures.Physical})
		logical = append(logical, plot.Point{At: d.Counted, Value: d.Figures.Logical})
	}
	return plot.New(physical, logical)
}

// above returns the links to the prefixes above a prefix.
func above(prefix string) (links []prefixLink) {
	for i, r := range prefix {
		if r == '/' {
			links = append(links, prefixLink{Title: prefix[strings.LastIndexByte(prefix[:i], '/')+1 : i], Prefix: prefix[:i]})
		}
	}
	return links
}
