package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// mediaTypeChart is the media type of the configuration of a Helm chart.
const mediaTypeChart = "application/vnd.cncf.helm.config.v1+json"

// MaxChart is the maximum size of the configuration of a chart, in bytes.
const MaxChart = 1 << 20

// MaxChartList is the maximum length of each list of a [Chart]. Further elements are left out.
const MaxChartList = 1000

// Chart is what the configuration of a Helm chart says. Helm writes its Chart.yaml there. Each field may be empty.
type Chart struct {
	// Name and Version are those of the chart. AppVersion is the version of the application that it installs.
	Name, Version, AppVersion string
	// Description describes the chart.
	Description string
	// Type is "application" or "library".
	Type string
	// KubeVersion are the versions of Kubernetes that the chart works with, such as ">=1.28.0".
	KubeVersion string
	// Home is the URL of the project.
	Home string
	// Sources are URLs of its source, and Keywords describe the chart.
	Sources, Keywords []string
	// Deprecated is set if the chart should not be used any more.
	Deprecated bool
	// Maintainers are the people who maintain the chart.
	Maintainers []ChartMaintainer
	// Dependencies are the charts that the chart contains or needs.
	Dependencies []ChartDependency
	// Malformed names the fields that are there with a wrong type, in ascending order. They count as absent.
	Malformed []string
}

// ChartMaintainer is a person who maintains a chart.
type ChartMaintainer struct{ Name, Email, URL string }

// ChartDependency is a chart that another one needs.
type ChartDependency struct {
	// Name and Version are those of the chart. The version may be a range.
	Name, Version string
	// Repository is the URL of the repository of the chart.
	Repository string
	// Alias is another name of the chart, and Condition the value that switches it on.
	Alias, Condition string
}

// ParseChart returns what the configuration of a Helm chart says.
//
// Errors: an error for content that is not a JSON object.
func ParseChart(content []byte) (*Chart, error) {
	r := fieldReader{fields: object(content)}
	if r.fields == nil {
		return nil, errors.New("image: the configuration is not a JSON object")
	}
	c := &Chart{}
	for key, to := range map[string]*string{
		"name": &c.Name, "version": &c.Version, "appVersion": &c.AppVersion, "description": &c.Description,
		"type": &c.Type, "kubeVersion": &c.KubeVersion, "home": &c.Home,
	} {
		read(&r, key, to)
	}
	read(&r, "deprecated", &c.Deprecated)
	c.Sources, c.Keywords = readChartList[string](&r, "sources"), readChartList[string](&r, "keywords")
	for i, raw := range readChartList[json.RawMessage](&r, "maintainers") {
		m, e := ChartMaintainer{}, r.element("maintainers", i, raw)
		read(&e, "name", &m.Name)
		read(&e, "email", &m.Email)
		read(&e, "url", &m.URL)
		c.Maintainers, r.malformed = append(c.Maintainers, m), append(r.malformed, e.malformed...)
	}
	for i, raw := range readChartList[json.RawMessage](&r, "dependencies") {
		d, e := ChartDependency{}, r.element("dependencies", i, raw)
		read(&e, "name", &d.Name)
		read(&e, "version", &d.Version)
		read(&e, "repository", &d.Repository)
		read(&e, "alias", &d.Alias)
		read(&e, "condition", &d.Condition)
		c.Dependencies, r.malformed = append(c.Dependencies, d), append(r.malformed, e.malformed...)
	}
	c.Malformed = r.names()
	return c, nil
}

// readChartList reads a list of at most MaxChartList elements.
func readChartList[T any](r *fieldReader, key string) (list []T) {
	read(r, key, &list)
	if len(list) > MaxChartList {
		r.malformed, list = append(r.malformed, key), list[:MaxChartList:MaxChartList]
	}
	return list
}

// element returns a reader of an element of a list. An element that is no object counts as empty.
func (r *fieldReader) element(key string, i int, raw json.RawMessage) fieldReader {
	e := fieldReader{fields: object(raw), prefix: fmt.Sprintf("%s[%d].", key, i)}
	if e.fields == nil {
		e.malformed = append(e.malformed, strings.TrimSuffix(e.prefix, "."))
	}
	return e
}

// names returns the names of the malformed fields, sorted, at most maxMalformed.
func (r *fieldReader) names() []string {
	slices.Sort(r.malformed)
	return slices.Clip(r.malformed[:min(len(r.malformed), maxMalformed)])
}

// weight returns about how many bytes of memory the chart takes.
func (c *Chart) weight() int {
	const element = 100
	n := 500 + len(c.Name) + len(c.Version) + len(c.AppVersion) + len(c.Description) + len(c.Type) +
		len(c.KubeVersion) + len(c.Home)
	for _, list := range [][]string{c.Sources, c.Keywords, c.Malformed} {
		for _, s := range list {
			n += 24 + len(s)
		}
	}
	for _, m := range c.Maintainers {
		n += element + len(m.Name) + len(m.Email) + len(m.URL)
	}
	for _, d := range c.Dependencies {
		n += element + len(d.Name) + len(d.Version) + len(d.Repository) + len(d.Alias) + len(d.Condition)
	}
	return n
}
