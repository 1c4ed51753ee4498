package web

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/api/types"
)

// fact is something that an image says about itself.
type fact struct {
	// Name is translated.
	Name string
	// Values are texts of the client. More is the number of those that are left out.
	Values []string
	More   int
	// Code is set for commands, paths and similar values.
	Code bool
	// Time is set instead of Values for a time.
	Time time.Time
	// URL is a link for the value, or "".
	URL string
}

// factList is a list of names and values, such as the labels.
type factList struct {
	// Title is translated.
	Title string
	// Rows are the first elements, and Count is the number of all.
	Rows  []factRow
	Count int
	// Open is set for a list that is shown at once.
	Open bool
}

// factRow is an element of a factList.
type factRow struct {
	Name, Value string
	// URL is a link for the value, or "".
	URL string
}

// More returns the number of elements that are left out.
func (l *factList) More() int { return l.Count - len(l.Rows) }

// maxValue is the maximum number of characters of a value that a client has written.
const maxValue = 1000

// wellKnown are the annotations that the specification of OCI images defines, in the order in which a page shows them,
// with their names.
var wellKnown = []struct{ key, name string }{
	{ocispec.AnnotationTitle, "Title"}, {ocispec.AnnotationDescription, "Description"},
	{ocispec.AnnotationVersion, "Version"}, {ocispec.AnnotationRevision, "Revision"},
	{ocispec.AnnotationSource, "Source"}, {ocispec.AnnotationURL, "Website"},
	{ocispec.AnnotationDocumentation, "Documentation"}, {ocispec.AnnotationLicenses, "Licence"},
	{ocispec.AnnotationVendor, "Vendor"}, {ocispec.AnnotationAuthors, "Authors"},
	{ocispec.AnnotationBaseImageName, "Base image"}, {ocispec.AnnotationBaseImageDigest, "Digest of the base image"},
	{ocispec.AnnotationRefName, "Reference"},
}

// inChart are the annotations that Helm copies from the Chart.yaml of a chart.
var inChart = []string{ocispec.AnnotationTitle, ocispec.AnnotationVersion, ocispec.AnnotationDescription,
	ocispec.AnnotationURL, ocispec.AnnotationAuthors}

// factsOf returns what the shown image says about itself: its origin, how it runs, and all labels and annotations.
func (q *request) factsOf(v *imageView) (about, facts []fact, lists []factList) {
	t := q.language.Text
	about = append(q.chartFacts(v.Shown.Chart), q.aboutFacts(v)...)
	facts = q.configFacts(&v.Shown)
	add := func(title string, m map[string]string) {
		if len(m) > 0 {
			lists = append(lists, mapList(t(title), m))
		}
	}
	if c := v.Shown.Config; c != nil {
		if len(c.Env) > 0 {
			lists = append(lists, envList(t("Environment"), c.Env))
		}
		add("Labels", c.Labels)
	}
	add("Annotations", v.Shown.Annotations)
	if v.Platforms != nil && v.ShownRef != v.Image.Digest {
		add("Annotations of the index", v.Image.Annotations)
	}
	return about, facts, lists
}

// aboutFacts returns the well-known annotations. Those of the image come before those of the index and the labels.
func (q *request) aboutFacts(v *imageView) (list []fact) {
	sources := []map[string]string{v.Shown.Annotations, v.Image.Annotations}
	if v.Shown.Config != nil {
		sources = append(sources, v.Shown.Config.Labels)
	}
	for _, known := range wellKnown {
		if v.Shown.Chart != nil && slices.Contains(inChart, known.key) {
			continue
		}
		for _, m := range sources {
			value := strings.TrimSpace(m[known.key])
			if value == "" {
				continue
			}
			list = append(list, fact{Name: q.language.Text(known.name), Values: []string{clip(value, maxValue)},
				URL: webURL(value)})
			break
		}
	}
	return list
}

// configFacts returns how a container of the image runs.
func (q *request) configFacts(i *types.Image) (list []fact) {
	t := q.language.Text
	add := func(name string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			list = append(list, listFact(t(name), values))
		}
	}
	if !i.Created.IsZero() {
		list = append(list, fact{Name: t("Created"), Time: i.Created})
	}
	c := i.Config
	if c == nil {
		return list
	}
	add("Platform", platformName(&c.Platform))
	add("Entry point", commandLine(c.Entrypoint))
	add("Command", commandLine(c.Cmd))
	add("User", c.User)
	add("Working directory", c.WorkingDir)
	add("Ports", c.ExposedPorts...)
	add("Volumes", c.Volumes...)
	add("Stop signal", c.StopSignal)
	add("Author", c.Author)
	return list
}

// chartFacts returns what the Chart.yaml of a Helm chart says.
func (q *request) chartFacts(c *types.Chart) (list []fact) {
	if c == nil {
		return nil
	}
	t := q.language.Text
	add := func(name string, code bool, values ...string) {
		if len(values) > 0 && values[0] != "" {
			f := listFact(t(name), values)
			f.Code, f.URL = code, webURL(values[0])
			list = append(list, f)
		}
	}
	add("Chart", false, c.Name)
	add("Version of the chart", false, c.Version)
	add("Version of the application", false, c.AppVersion)
	add("Description", false, c.Description)
	add("Type", false, c.Type)
	add("Kubernetes", true, c.KubeVersion)
	add("Home page", false, c.Home)
	add("Keywords", false, strings.Join(c.Keywords[:min(len(c.Keywords), maxListed)], ", "))
	for _, source := range c.Sources[:min(len(c.Sources), 10)] {
		add("Source", false, source)
	}
	var people []string
	for _, m := range c.Maintainers {
		person := m.Name
		if m.Email != "" {
			person = strings.TrimSpace(fmt.Sprintf("%s <%s>", m.Name, m.Email))
		}
		people = append(people, person)
	}
	add("Maintainers", false, people...)
	return list
}

// listFact returns a fact with at most maxListed values.
func listFact(name string, values []string) fact {
	f := fact{Name: name, Code: true, More: max(len(values)-maxListed, 0)}
	for _, v := range values[:min(len(values), maxListed)] {
		f.Values = append(f.Values, clip(v, maxValue))
	}
	return f
}

// mapList returns the labels or annotations of an image, sorted by name.
func mapList(title string, m map[string]string) factList {
	l := factList{Title: title, Count: len(m)}
	names := slices.Sorted(maps.Keys(m))
	for _, name := range names[:min(len(names), maxListed)] {
		l.Rows = append(l.Rows, factRow{clip(name, maxName), clip(m[name], maxValue), webURL(m[name])})
	}
	return l
}

// maxName is the maximum number of characters of the name of a label.
const maxName = 200

// maxOpen is the maximum length of a list that is shown at once.
const maxOpen = 12

// envList returns the environment of an image. A variable without "=" has no value.
func envList(title string, env []string) factList {
	l := factList{Title: title, Count: len(env), Open: len(env) <= maxOpen}
	for _, e := range env[:min(len(env), maxListed)] {
		name, value, _ := strings.Cut(e, "=")
		l.Rows = append(l.Rows, factRow{Name: clip(name, maxName), Value: clip(value, maxValue)})
	}
	return l
}

// commandLine returns a command with its arguments in one line. An argument with a space or quote is quoted.
func commandLine(args []string) string {
	var b strings.Builder
	for i, arg := range args {
		if b.Len() > 4*maxValue {
			b.WriteString(" …")
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		if arg == "" || strings.ContainsAny(arg, " \t\n\"'\\$`") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		b.WriteString(arg)
	}
	return b.String()
}

// maxURL is the maximum length of a URL of a client that becomes a link.
const maxURL = 2048

// webURL returns a URL that a client has written if a page may link to it: an http or https URL without a user and
// without characters that are not visible. It returns "" for anything else.
func webURL(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > maxURL || text != inert(text) || strings.ContainsAny(text, " \t\n\\") {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return ""
	}
	return text
}
