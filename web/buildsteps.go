package web

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/api/types"
)

// buildSteps are the steps that made an image, with their layers, or the files of an artifact.
type buildSteps struct {
	List []buildStep
	// From is the number of the first one on the page, from 1. Count is the number of all.
	From, Count int
	// Next is the URL of the following page, or "".
	Next string
	// Layers is the number of layers or files, and Size their size.
	Layers int
	Size   int64
	// Differs is set if the history of the image does not fit its layers.
	Differs bool
	// Dockerfile are the commands on the page, one a line.
	Dockerfile string
}

// Last returns the number of the last step on the page.
func (s *buildSteps) Last() int { return s.From + len(s.List) - 1 }

// buildStep is a step that made an image, or a file of an artifact.
type buildStep struct {
	// Command is the command in one line, or the name of a file. Whole is what the history says, or "" if that is
	// the same.
	Command, Whole string
	Created        time.Time
	// Layer is nil for a step that made no layer.
	Layer *types.Descriptor
	// Share is the part of the layer in the size of all, in per cent.
	Share int64
	// Elsewhere is the number of other repositories that have the layer.
	Elsewhere int64
}

// steps returns a page of the steps of the shown image.
func (q *request) steps(v *imageView) *buildSteps {
	list, differs := stepsOf(&v.Shown)
	s := &buildSteps{Count: len(list), Layers: len(v.Shown.Layers), Differs: differs, From: 1}
	for _, l := range v.Shown.Layers {
		s.Size = addSizes(s.Size, l.Size)
	}
	if from, err := strconv.Atoi(q.value("step")); err == nil && from > 1 && from <= len(list) {
		s.From = from
	}
	s.List = list[s.From-1 : min(s.From-1+maxSteps, len(list))]
	if end := s.From + len(s.List); end <= len(list) {
		params := []string{"step", strconv.Itoa(end)}
		if p := q.value("platform"); p != "" {
			params = append(params, "platform", p)
		}
		s.Next = withParams(q.page.image(v.Repo, v.Ref), params...) + "#layers"
	}
	var commands strings.Builder
	for i := range s.List {
		q.complete(&s.List[i], s, v)
		if v.Shown.Config != nil && s.List[i].Command != "" && commands.Len() < maxDockerfile {
			commands.WriteString(s.List[i].Command + "\n")
		}
	}
	s.Dockerfile = commands.String()
	return s
}

// maxDockerfile is the size of buildSteps.Dockerfile after which no command is added, in bytes.
const maxDockerfile = 64 << 10

// complete sets what the page shows of a step.
func (q *request) complete(one *buildStep, all *buildSteps, v *imageView) {
	if l := one.Layer; l != nil {
		one.Elsewhere = v.Related.Elsewhere[l.Digest]
		if all.Size > 0 && l.Size > 0 {
			one.Share = max(int64(float64(l.Size)/float64(all.Size)*100), 1)
		}
	}
	whole := inert(strings.TrimSpace(one.Whole))
	one.Command, one.Whole = clip(cleanCommand(one.Whole), maxCommand), ""
	if whole != one.Command && one.Command != "" {
		one.Whole = whole
	}
	if one.Layer != nil && one.Command == "" {
		one.Command = clip(one.Layer.Annotations[ocispec.AnnotationTitle], maxCommand)
	}
}

// maxCommand is the maximum length of the command of a step in one line.
const maxCommand = 200

// stepsOf returns the steps of an image in order, each with its layer. The field Whole has the command as the history
// has it. differs is set if the steps that made a layer are not as many as the layers.
func stepsOf(i *types.Image) (list []buildStep, differs bool) {
	layers := i.Layers
	var history []types.ImageStep
	if i.Config != nil {
		history = i.Config.History
	}
	next := 0
	for _, h := range history {
		s := buildStep{Whole: h.CreatedBy, Created: h.Created}
		if s.Whole == "" {
			s.Whole = h.Comment
		}
		switch {
		case h.EmptyLayer:
		case next < len(layers):
			s.Layer = &layers[next]
			next++
		default:
			differs = true
		}
		list = append(list, s)
	}
	differs = differs || len(history) > 0 && next < len(layers)
	for ; next < len(layers); next++ {
		list = append(list, buildStep{Layer: &layers[next]})
	}
	return list, differs
}

// addSizes returns a+b, or the greatest number if that is too large: sizes are what a client has stated.
func addSizes(a, b int64) int64 {
	if sum := a + max(b, 0); sum >= a {
		return sum
	}
	return 1<<63 - 1
}

// What docker and BuildKit put around the command of a step.
var (
	noLayer = regexp.MustCompile(`^(?:/bin/sh -c|cmd /S /C)\s+#\(nop\)\s*`)
	shell   = regexp.MustCompile(`^(?:RUN )?(?:\|\d+ .*?\s)?` +
		`(?:/bin/(?:ba|da|a)?sh(?: -[a-z]+(?: pipefail)?)*? -[a-z]*c|cmd /S /C)\s+`)
	hashed = regexp.MustCompile(`\b(file|dir|multi):([0-9a-f]{12})[0-9a-f]{20,}`)
	spaces = regexp.MustCompile(`\s+`)
)

// maxRawCommand is the part of a command that cleanCommand reads, in bytes.
const maxRawCommand = 4096

// cleanCommand returns a command of the history of an image as its Dockerfile has it, in one line.
func cleanCommand(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxRawCommand)], "")
	text = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "# buildkit"))
	switch {
	case noLayer.MatchString(text):
		text = noLayer.ReplaceAllString(text, "")
	case shell.MatchString(text):
		text = "RUN " + shell.ReplaceAllString(text, "")
	}
	text = hashed.ReplaceAllString(text, "$1:$2")
	return strings.TrimSpace(spaces.ReplaceAllString(text, " "))
}
