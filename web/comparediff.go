package web

import (
	"maps"
	"slices"
	"strings"

	"github.com/registrykit/registry/api/types"
)

// layerDifference says which layers two images have in common.
type layerDifference struct {
	// Rows are the first layers: those of the first image from the lowest up, then those of the
	// second one alone. More is the number of those that are left out.
	Rows []layerRow
	More int
	// Same, From and To count the layers that both have, and those that one has.
	Same, From, To layerCount
}

// layerCount is a number of layers, and their size.
type layerCount struct {
	Count int
	Size  int64
}

func (c *layerCount) add(size int64) { c.Count, c.Size = c.Count+1, addSizes(c.Size, size) }

// layerRow is a layer of two images.
type layerRow struct {
	// In is "both", "from" or "to".
	In     string
	Digest string
	Size   int64
	// Command is the command that made the layer, or "".
	Command string
	raw     string
}

// compareLayers returns which layers two images have in common, by digest. A layer that occurs several times counts as
// often as in the other image.
func compareLayers(from, to *types.Image) (d layerDifference) {
	left, right := layersOf(from), layersOf(to)
	count := map[string]int{}
	for i := range right {
		count[right[i].Digest]++
	}
	add := func(r layerRow, in string, total *layerCount) {
		total.add(r.Size)
		if r.In = in; len(d.Rows) < maxDifferences {
			r.Command = clip(cleanCommand(r.raw), maxCommand)
			d.Rows = append(d.Rows, r)
		} else {
			d.More++
		}
	}
	common := map[string]int{}
	for _, r := range left {
		if count[r.Digest] > 0 {
			count[r.Digest]--
			common[r.Digest]++
			add(r, "both", &d.Same)
		} else {
			add(r, "from", &d.From)
		}
	}
	for _, r := range right {
		if common[r.Digest] > 0 {
			common[r.Digest]--
		} else {
			add(r, "to", &d.To)
		}
	}
	return d
}

// layersOf returns the layers of an image with their commands.
func layersOf(i *types.Image) (rows []layerRow) {
	list, _ := stepsOf(i)
	for _, s := range list {
		if s.Layer != nil {
			rows = append(rows, layerRow{Digest: s.Layer.Digest, Size: max(s.Layer.Size, 0), raw: s.Whole})
		}
	}
	return rows
}

// configDifference says in what the configurations of two images differ.
type configDifference struct {
	// Rows are the first differences, and More is the number of those that are left out. Same counts what is the same.
	Rows []configRow
	More int
	Same int
}

// configRow is a difference of two configurations.
type configRow struct {
	// Group is the translated name of what differs, such as "Labels". Name is the name of the label, or "".
	Group, Name string
	// From and To are the values. Each is absent if InFrom or InTo is not set.
	From, To     string
	InFrom, InTo bool
}

// compareConfigs returns in what the configurations and annotations of two images differ.
func (q *request) compareConfigs(from, to *types.Image) (d configDifference) {
	left, right := settingsOf(from), settingsOf(to)
	for i, group := range left {
		title := q.language.Text(group.title)
		a, b := group.values, right[i].values
		keys := map[string]bool{}
		for k := range a {
			keys[k] = true
		}
		for k := range b {
			keys[k] = true
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			x, inA := a[k]
			y, inB := b[k]
			switch {
			case inA && inB && x == y:
				d.Same++
			case len(d.Rows) >= maxDifferences:
				d.More++
			default:
				d.Rows = append(d.Rows, configRow{title, clip(k, maxName), clip(x, maxValue), clip(y, maxValue), inA, inB})
			}
		}
	}
	return d
}

// setting is a group of values of a configuration. A single value has the name "".
type setting struct {
	title  string
	values map[string]string
}

// settingsOf returns the values of a configuration that are compared, always the same groups in the same order.
func settingsOf(i *types.Image) []setting {
	c := i.Config
	if c == nil {
		c = &types.ImageConfig{}
	}
	env := map[string]string{}
	for _, e := range c.Env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	created := ""
	if !i.Created.IsZero() {
		created = i.Created.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	chart := i.Chart
	if chart == nil {
		chart = &types.Chart{}
	}
	return []setting{
		{"Created", single(created)}, {"Platform", single(platformName(&c.Platform))},
		{"Entry point", single(commandLine(c.Entrypoint))}, {"Command", single(commandLine(c.Cmd))},
		{"User", single(c.User)}, {"Working directory", single(c.WorkingDir)}, {"Stop signal", single(c.StopSignal)},
		{"Author", single(c.Author)}, {"Ports", set(c.ExposedPorts)}, {"Volumes", set(c.Volumes)},
		{"Version of the chart", single(chart.Version)}, {"Version of the application", single(chart.AppVersion)},
		{"Environment", env}, {"Labels", c.Labels}, {"Annotations", i.Annotations},
	}
}

// single returns a group of one value, or of none for "".
func single(value string) map[string]string {
	if value == "" {
		return nil
	}
	return map[string]string{"": value}
}

// set returns a group whose names are values.
func set(values []string) map[string]string {
	m := map[string]string{}
	for _, v := range values {
		m[v] = v
	}
	return m
}
