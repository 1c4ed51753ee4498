package web

import (
	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/web/internal/lang"
	"github.com/registrykit/registry/web/internal/plot"
)

// quotaViews are the views of quotas.
func quotaViews() []view {
	return []view{
		{name: "quotas", method: "GET", path: "/quotas", part: "quota", handle: showQuotas},
		{name: "quotas", method: "POST", path: "/quotas/recount", part: "quota", handle: recountQuota},
	}
}

// quotasPage is what the template "quotas" shows.
type quotasPage struct {
	Notice *notice
	Quotas []quotaRow
	Next   string
	// All reports whether the caller may see all quotas. Limits are the configured limits then, and MoreLimits reports
	// whether there are further ones.
	All        bool
	Limits     []limitRow
	MoreLimits bool
	MayRecount bool
}

// quotaRow is a prefix with what is used of its limits.
type quotaRow struct {
	types.Quota
	Amounts []amount
}

// amount is what is used of one limit.
type amount struct {
	// Title is what is counted, and Used, Max and Soft are words. Max and Soft are "" without such a limit.
	Title, Used, Max, Soft string
	// Percent is Used in per cent of Max, or of Soft without a Max.
	Percent int
	// Level is "full", "soft" or "".
	Level string
}

// limitRow is an entry of the limits.
type limitRow struct {
	types.QuotaLimit
	Words []string
}

// showQuotas shows the quotas that the caller may see.
func showQuotas(q *request) (*answer, error) {
	page := quotasPage{All: q.mayRegistry(auth.NameQuota, auth.Read),
		MayRecount: q.mayRegistry(auth.NameQuota, auth.Manage),
		Notice:     q.notice(map[string]string{"counted": "It was counted again."})}
	var err error
	if page.All {
		err = q.allQuotas(&page)
	} else {
		err = q.ownQuotas(&page)
	}
	if err != nil {
		return nil, err
	}
	return q.show(q.language.Text("Quotas"), page), nil
}

// allQuotas reads the limits and a page of the quotas.
func (q *request) allQuotas(page *quotasPage) error {
	limits := &client.Page{Limit: pageSize}
	configured, err := collect(q.visitor.OnPage(limits).QuotaLimits(q.Context()))
	if err != nil {
		return err
	}
	page.MoreLimits = limits.Next != ""
	for _, l := range configured {
		page.Limits = append(page.Limits, limitRow{l, q.limitWords(l)})
	}
	list := q.listPage()
	quotas, err := collect(q.visitor.OnPage(list).Quotas(q.Context()))
	for _, one := range quotas {
		page.Quotas = append(page.Quotas, quotaRow{one, q.amounts(one)})
	}
	page.Next = q.next(list)
	return err
}

// ownQuotas reads the quotas of the namespaces of the caller.
func (q *request) ownQuotas(page *quotasPage) error {
	names, err := q.owned()
	if err != nil {
		return err
	}
	for _, name := range names {
		one, err := q.visitor.Quota(q.Context(), name)
		if absent(err) {
			continue // no limit, or not for this caller
		}
		if err != nil {
			return err
		}
		page.Quotas = append(page.Quotas, quotaRow{one, q.amounts(one)})
	}
	return nil
}

// recountQuota counts the quota of a prefix again.
func recountQuota(q *request) (*answer, error) {
	prefix := q.value("prefix")
	if prefix != "" && registry.CheckName(prefix) != nil {
		return nil, errNotFound
	}
	if _, err := q.visitor.Recount(q.Context(), prefix); err != nil {
		return nil, err
	}
	return q.to(q.page.path("quotas"), "done", "counted"), nil
}

// resource is something that a quota limits.
type resource struct {
	title     string
	of        func(types.QuotaAmounts) int64
	in        func(int64) string
	one, many string
}

// resources returns what quotas limit.
func resources() []resource {
	return []resource{
		{"Storage", func(a types.QuotaAmounts) int64 { return a.Bytes }, lang.Bytes, "", ""},
		{"Repositories", func(a types.QuotaAmounts) int64 { return a.Repositories }, lang.Number,
			"%s repository", "%s repositories"},
		{"Images", func(a types.QuotaAmounts) int64 { return a.Manifests }, lang.Number, "%s image", "%s images"},
		{"Tags", func(a types.QuotaAmounts) int64 { return a.Tags }, lang.Number, "%s tag", "%s tags"},
	}
}

// amounts returns what is used of each limit.
func (q *request) amounts(quota types.Quota) (all []amount) {
	for _, r := range resources() {
		used, most, soft := r.of(quota.Used), r.of(quota.Max), r.of(quota.Soft)
		if most == 0 && soft == 0 {
			continue
		}
		a := amount{Title: q.language.Text(r.title), Used: r.in(used)}
		if soft > 0 {
			a.Soft, a.Percent = r.in(soft), plot.Percent(used, soft)
		}
		if most > 0 {
			a.Max, a.Percent = r.in(most), plot.Percent(used, most)
		}
		switch {
		case most > 0 && used >= most:
			a.Level = "full"
		case soft > 0 && used > soft:
			a.Level = "soft"
		}
		all = append(all, a)
	}
	return all
}

// limitWords returns a limit in words.
func (q *request) limitWords(l types.QuotaLimit) (words []string) {
	if l.Unlimited {
		return []string{q.language.Text("no limit")}
	}
	in := func(r resource, n int64) string {
		if r.one == "" {
			return r.in(n)
		}
		return q.language.Count(n, r.one, r.many)
	}
	for _, r := range resources() {
		if n := r.of(l.Max); n > 0 {
			words = append(words, q.language.Text("at most %s", in(r, n)))
		}
		if n := r.of(l.Soft); n > 0 {
			words = append(words, q.language.Text("a warning from %s", in(r, n)))
		}
	}
	return words
}
