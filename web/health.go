package web

import (
	"slices"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/web/internal/lang"
	"github.com/registrykit/registry/web/internal/plot"
)

// shownUpstreams is the maximum number of upstreams on the start page.
const shownUpstreams = 4

// homeJobs are the jobs whose results are on the start page.
var homeJobs = []string{"collect", "retain"}

// health returns the state of the mirror and of the jobs, as far as the sender may read it.
func (q *request) health() (list []health, err error) {
	if q.has("mirror") && q.mayRegistry(auth.NameMirror, auth.Read) {
		m, err := q.visitor.Mirror(q.Context())
		if err != nil {
			return nil, err
		}
		list = append(list, q.mirrorHealth(&m)...)
	}
	if q.has("jobs") && q.mayRegistry(auth.NameJobs, auth.Read) {
		jobs, err := collect(q.visitor.OnPage(&client.Page{Limit: pageSize}).Jobs(q.Context()))
		if err != nil {
			return nil, err
		}
		list = append(list, q.jobHealth(jobs)...)
	}
	return list, nil
}

// mirrorHealth returns the state of the first upstreams. Those that do not respond come first.
func (q *request) mirrorHealth(m *types.Mirror) (list []health) {
	t := q.language.Text
	up := slices.Clone(m.Upstreams)
	slices.SortStableFunc(up, func(a, b types.Upstream) int {
		switch {
		case a.Down == b.Down:
			return 0
		case a.Down:
			return -1
		}
		return 1
	})
	for i, u := range up[:min(len(up), shownUpstreams)] {
		h := health{Title: u.Name, URL: q.page.path("mirror")}
		if u.Down {
			h.Warning = t("offline")
		}
		if asked := m.Hits + m.Misses; i == 0 && asked > 0 && !u.Down {
			h.Good = t("%s %% from cache", lang.Number(int64(plot.Percent(m.Hits, asked))))
		}
		if u.Remaining != nil && u.Limit != nil {
			h.Notes = append(h.Notes, t("%s of %s pulls left", lang.Number(*u.Remaining), lang.Number(*u.Limit)))
		}
		list = append(list, h)
	}
	return list
}

// jobHealth returns the last results of the jobs of the start page, and of those that have failed.
func (q *request) jobHealth(jobs []types.Job) (list []health) {
	for _, j := range jobs {
		failed := j.Error != ""
		if !failed && !slices.Contains(homeJobs, j.Name) {
			continue
		}
		row := q.jobRow(j)
		h := health{Title: row.Title, URL: q.page.path("jobs"), At: j.Ended}
		switch {
		case failed:
			h.Warning = q.language.Text("failed")
		case j.Running:
			h.Good = q.language.Text("running")
		default:
			h.Notes = row.Words[:min(len(row.Words), 1)]
		}
		list = append(list, h)
	}
	return list
}
