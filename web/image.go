package web

import (
	"slices"
	"strings"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/parallel"
)

// imageViews are the views of an image or another artifact.
func imageViews() []view {
	return []view{{name: "image", method: "GET", path: "/repositories/{repo}/-/images/{ref}", part: "images",
		handle: showImage}}
}

// Limits of the view of an image. What is beyond them is counted.
const (
	maxSteps     = 100 // on a page
	maxListed    = 100 // labels, variables and other elements of a list
	maxTabs      = 40  // platforms
	maxReferrers = 20  // on a page
	maxTags      = 20  // other tags of the image
	maxChanges   = 10  // of the tag
	maxSharing   = 10  // images with the same layers
)

// imageView is what the template "image" shows.
type imageView struct {
	Notice *notice
	// Repo is the repository, and Ref the tag or digest in the path. Tag is "" for a digest.
	Repo, Ref, Tag string
	// Title is the tag, or the short digest.
	Title string
	Kind  kind
	// Image is the manifest with Ref. Platforms are those of an index, nil for anything else.
	Image     types.Image
	Platforms *platforms
	// Shown is the image whose content is shown: the one with the chosen platform, or Image. Missing is set if an index
	// names it and the repository does not have it.
	Shown    types.Image
	ShownRef string
	Missing  bool

	Commands commands
	Steps    *buildSteps
	About    []fact
	Facts    []fact
	Lists    []factList
	Related  related
	Actions  []action
}

// action is a link that begins a change.
type action struct {
	Title, URL string
	Danger     bool
}

// showImage shows an image or another artifact.
func showImage(q *request) (*answer, error) {
	v := &imageView{Repo: q.param("repo"), Ref: q.param("ref")}
	if !strings.Contains(v.Ref, ":") {
		v.Tag = v.Ref
	}
	var err error
	if v.Image, _, err = q.visitor.Image(q.Context(), v.Repo, v.Ref); err != nil {
		return nil, unlessDenied(err)
	}
	v.Notice = q.imageNotice(v.Repo)
	v.Title = v.Tag
	if v.Tag == "" {
		v.Title = shortDigest(v.Image.Digest)
	}
	v.Kind = kindOfImage(&v.Image)
	if err := q.choosePlatform(v); err != nil {
		return nil, err
	}
	if err := q.readRelated(v); err != nil {
		return nil, err
	}
	platform := ""
	if v.Platforms != nil && v.Platforms.Chosen != nil && v.Platforms.Explicit {
		platform = v.Platforms.Chosen.Name
	}
	v.Commands = q.commands(v.Repo, v.Tag, v.Image.Digest, platform, v.Kind)
	v.Steps = q.steps(v)
	v.About, v.Facts, v.Lists = q.factsOf(v)
	v.Actions = q.imageActions(v)
	title := v.Repo + ":" + v.Tag
	if v.Tag == "" {
		title = v.Repo + "@" + v.Title
	}
	return q.show(title, v), nil
}

// imageNotice returns the notice after a change that led to the image, or nil.
func (q *request) imageNotice(repo string) *notice {
	if n := q.changeNotice(repo); n != nil {
		return n
	}
	return q.notice(map[string]string{"tagged": "The tag points at this image now.",
		"copied": "The image was copied to this repository."})
}

// choosePlatform sets the image whose content is shown.
//
// Errors: errNotFound for a platform that the index does not have.
func (q *request) choosePlatform(v *imageView) (err error) {
	v.Shown, v.ShownRef = v.Image, v.Image.Digest
	if v.Image.Kind != "index" {
		return nil
	}
	v.Platforms = platformsOf(&v.Image, q.value("platform"), q.page.image(v.Repo, v.Ref))
	chosen := v.Platforms.Chosen
	if chosen == nil {
		if q.value("platform") != "" {
			return errNotFound
		}
		return nil
	}
	v.ShownRef = chosen.Digest
	v.Shown, _, err = q.visitor.Image(q.Context(), v.Repo, chosen.Digest)
	if absent(err) {
		v.Missing = true
		v.Shown = types.Image{Digest: chosen.Digest, MediaType: chosen.MediaType, Size: chosen.Size}
		return nil
	}
	return err
}

// imageActions returns the changes of the image that the sender may make.
func (q *request) imageActions(v *imageView) (list []action) {
	name, value := "digest", v.Image.Digest
	if v.Tag != "" {
		name, value = "tag", v.Tag
	}
	add := func(ok bool, view, title string, danger bool) {
		if ok && q.has(view) {
			list = append(list, action{q.language.Text(title), withParams(q.page.repo(v.Repo, view), name, value), danger})
		}
	}
	if q.has("compare") && v.Image.Kind != "artifact" {
		list = append(list, action{Title: q.language.Text("Compare…"),
			URL: withParams(q.page.repo(v.Repo, "compare"), "from", v.Ref)})
	}
	pushes := q.mayRepository(v.Repo, auth.Push)
	add(pushes, "retag", "Set another tag…", false)
	add(q.signedIn(), "copy", "Copy…", false)
	deletes := auth.Access{Type: auth.TypeRepository, Name: v.Repo, Tag: v.Tag, Action: auth.Delete}
	add(q.may(deletes), "delete", "Delete…", true)
	return list
}

// readRelated reads what belongs to the image: tags, history, referrers and images with the same layers.
func (q *request) readRelated(v *imageView) error {
	reads := []func(*imageView) error{q.readOtherTags, q.readTag, q.readHistory, q.readReferrers, q.readCosign,
		q.readSharing}
	err := parallel.Each(len(reads), len(reads), func(i int) error { return reads[i](v) })
	keys := map[string]bool{}
	for _, r := range slices.Concat(v.Related.Referrers, v.Related.Cosign) {
		keys[r.Kind.Key] = true
	}
	v.Related.Attached = q.attached(v.Repo, v.Image.Digest, keys)
	return err
}
