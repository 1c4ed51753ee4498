package web

import (
	"maps"
	"regexp"
	"slices"
)

// view is a page, or a change that a form of a page sends.
type view struct {
	// name is the name of the file of the template, without ".html", and the name in Options.Without. Several views may
	// have one name.
	name string
	// method is "GET" or "POST".
	method string
	// path is the path below Options.Path. {repo} and {prefix} match several segments, other parameters one.
	path string
	// part is the part of the API that the view needs, or "".
	part string
	// needs reports whether the options allow the view. nil means that they do.
	needs func(*Options) bool
	// handle reads what the view shows, or makes the change.
	handle func(*request) (*answer, error)

	re *regexp.Regexp // of path
}

// available reports whether the page has the view.
func (v *view) available(p *Page) bool {
	return (v.part == "" || p.api.Has(v.part)) && (v.needs == nil || v.needs(&p.opts)) &&
		!slices.Contains(p.opts.Without, v.name)
}

// allViews returns the views of all files, by topic.
func allViews() []view {
	return slices.Concat(themeViews(), languageViews(), homeViews(), searchViews(), repositoryViews(),
		settingsViews(), imageViews(), compareViews(), deleteViews(), copyViews(), binViews(), usageViews(),
		eventViews(), jobViews(), retentionViews(), scrubViews(), quotaViews(), mirrorViews(), auditViews(),
		webhookViews(), userViews(), organisationViews(), teamViews(), robotViews(), tokenViews(), sessionViews(),
		accessViews(), signInViews(), signUpViews(), profileViews())
}

// Views returns the names of all views that a page can have, sorted. They are the values of Options.Without.
func Views() []string {
	names := map[string]bool{}
	for _, v := range allViews() {
		names[v.name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
