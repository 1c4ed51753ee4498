package web

import (
	"net/http"
	"slices"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// compareViews are the views of the comparison of two images.
func compareViews() []view {
	return []view{{name: "compare", method: "GET", path: "/repositories/{repo}/-/compare", part: "images",
		handle: showCompare}}
}

// maxDifferences is the maximum number of rows of each table of a comparison. What is beyond it is counted.
const maxDifferences = 200

// compareView is what the template "compare" shows.
type compareView struct {
	Repo string
	Form *entry
	// Tags are tags for the fields of the form.
	Tags []string
	// From and To are the images, or nil if the form is not filled in or wrong.
	From, To *side
	// Tabs are the platforms that both have. FromOnly and ToOnly are those that one has.
	Tabs             []menuItem
	FromOnly, ToOnly []string
	Layers           layerDifference
	Config           configDifference
}

// Equal reports whether both are the same manifest.
func (v *compareView) Equal() bool { return v.From.Image.Digest == v.To.Image.Digest }

// side is one of two images that are compared.
type side struct {
	Repo, Ref, URL string
	Image          types.Image
	children       []child
	// Shown is the image that is compared: the one for the platform, or Image. Missing is set if there is none.
	Shown   types.Image
	Missing bool
	// Platform is that of the compared image, or "".
	Platform string
}

// showCompare shows a form to choose two images, and their comparison.
func showCompare(q *request) (*answer, error) {
	v := &compareView{Repo: q.param("repo"), Form: q.entry("compare", "", "from", q.value("from"), "to", q.value("to"),
		"in", q.value("in"))}
	newest := &client.TagsOptions{Sort: "-version"} // the order by time would read each tag
	tags, err := collect(q.visitor.OnPage(&client.Page{Limit: pageSize}).Tags(q.Context(), v.Repo, newest))
	if err != nil {
		return nil, unlessDenied(err)
	}
	for _, t := range tags {
		v.Tags = append(v.Tags, t.Name)
	}
	other := q.value("in")
	if other == "" {
		other = v.Repo
	}
	a := q.show(q.language.Text("Compare images"), v)
	if q.value("from") == "" && q.value("to") == "" {
		return a, nil
	}
	from, err := q.readSide(v.Form, "from", v.Repo)
	if err != nil {
		return nil, err
	}
	to, err := q.readSide(v.Form, "to", other)
	if err != nil {
		return nil, err
	}
	if from == nil || to == nil {
		if q.value("from") == "" || q.value("to") == "" { // a link to the form with one of the images
			return a, nil
		}
		a.status = http.StatusNotFound
		return a, nil
	}
	v.From, v.To = from, to
	if err := q.comparePlatforms(v); err != nil {
		return nil, err
	}
	v.Layers = compareLayers(&from.Shown, &to.Shown)
	v.Config = q.compareConfigs(&from.Shown, &to.Shown)
	return a, nil
}

// readSide reads one of the images. If the sender may not see one, it returns nil, and the form says so.
func (q *request) readSide(e *entry, name, repo string) (*side, error) {
	ref := e.Value(name)
	if ref == "" {
		return nil, nil
	}
	i, _, err := q.visitor.Image(q.Context(), repo, ref)
	if absent(err) || malformed(err) != nil {
		e.fail(name, q.language.Text("There is no such image, or you may not see it."))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &side{Repo: repo, Ref: ref, URL: q.page.image(repo, ref), Image: i, Shown: i, children: childrenOf(&i)}
	if i.Config != nil {
		s.Platform = platformName(&i.Config.Platform)
	}
	return s, nil
}

// comparePlatforms chooses the images that are compared: those with the platform in the query, or with one that both
// have.
func (q *request) comparePlatforms(v *compareView) error {
	from, to := v.From.platforms(), v.To.platforms()
	var both []string
	for _, p := range from {
		if slices.Contains(to, p) {
			both = append(both, p)
		} else if len(v.FromOnly) < maxTabs {
			v.FromOnly = append(v.FromOnly, clip(p, 60))
		}
	}
	for _, p := range to {
		if !slices.Contains(from, p) && len(v.ToOnly) < maxTabs {
			v.ToOnly = append(v.ToOnly, clip(p, 60))
		}
	}
	wanted := q.value("platform")
	if wanted == "" && len(both) > 0 {
		wanted = both[0]
		if slices.Contains(both, "linux/amd64") {
			wanted = "linux/amd64"
		}
	}
	if v.From.Image.Kind == "index" || v.To.Image.Kind == "index" {
		for _, p := range both[:min(len(both), maxTabs)] {
			url := withParams(q.page.repo(v.Repo, "compare"), "from", v.From.Ref, "to", v.To.Ref,
				"in", v.Form.Value("in"), "platform", p)
			v.Tabs = append(v.Tabs, tab(clip(p, 60), url, p == wanted))
		}
	}
	if err := q.showPlatform(v.From, wanted); err != nil {
		return err
	}
	return q.showPlatform(v.To, wanted)
}

// platforms returns the platforms of the image, each once, at most maxPlatforms.
func (s *side) platforms() (names []string) {
	if s.Image.Kind != "index" {
		if s.Platform != "" {
			names = append(names, s.Platform)
		}
		return names
	}
	for i := range s.children {
		if p := s.children[i].Name; p != "" && len(names) < maxPlatforms && !slices.Contains(names, p) {
			names = append(names, p)
		}
	}
	return names
}

// maxPlatforms is the maximum number of platforms that a comparison looks at.
const maxPlatforms = 200

// showPlatform reads the image of an index with a platform, or with the usual one.
func (q *request) showPlatform(s *side, platform string) (err error) {
	if s.Image.Kind != "index" {
		return nil
	}
	c := choose(s.children, platform)
	if c == nil {
		c = choose(s.children, "")
	}
	if c == nil {
		s.Missing, s.Shown = true, types.Image{}
		return nil
	}
	s.Platform = c.Name
	s.Shown, _, err = q.visitor.Image(q.Context(), s.Repo, c.Digest)
	if absent(err) {
		s.Missing, s.Shown = true, types.Image{Digest: c.Digest}
		return nil
	}
	return err
}
