package web

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// maxChanged is the maximum number of tags and images that one form deletes or restores.
const maxChanged = 200

// deleteViews are the views of deletes of tags, images and repositories, and of restores.
func deleteViews() []view {
	const path = "/repositories/{repo}/-/"
	return []view{
		{name: "delete", method: "GET", path: path + "delete", part: "deletion", handle: showDelete},
		{name: "delete", method: "POST", path: path + "delete", part: "deletion", handle: doDelete},
		{name: "restore", method: "POST", path: path + "restore", part: "history", handle: doRestore},
	}
}

// deleteView is what the template "delete" shows.
type deleteView struct {
	Name      string
	Preview   types.DeletionPreview
	Tags      []deletedTag
	Manifests []deletedManifest
	// Images is the URL of the delete of the images of the tags with all their tags, or "".
	Images string
	// Repository is there if everything goes, with Version.
	Repository *types.Repository
	Version    client.Version
	Form       *entry
	// Possible reports whether anything can be deleted.
	Possible bool
	Cancel   string
}

// deletedTag is a tag that goes, with its version.
type deletedTag struct {
	types.TagDeletion
	Version string
}

// deletedManifest is an image that goes, with its version: a hash of what the page shows about it.
type deletedManifest struct {
	types.ManifestDeletion
	Version string
	Kind    kind
}

// deleteForm is the id of the form of a delete.
const deleteForm = "delete"

// showDelete shows what a delete would remove.
func showDelete(q *request) (*answer, error) {
	v, err := q.previewDelete()
	if err != nil {
		return nil, err
	}
	if err := q.need(!v.denied()); err != nil {
		return nil, err
	}
	t := q.language.Text
	title := t("Delete from %s", v.Name)
	if v.Preview.Everything != nil {
		title = t("Delete %s", v.Name)
	}
	return q.show(title, v), nil
}

// denied reports whether the sender has no permission to delete any of it.
func (v *deleteView) denied() bool {
	if v.Possible {
		return false
	}
	if r := v.Preview.Everything; r != nil {
		return r.Refused == types.RefusedAccess
	}
	others := slices.ContainsFunc(v.Preview.Tags,
		func(t types.TagDeletion) bool { return t.Refused != types.RefusedAccess })
	return !others && !slices.ContainsFunc(v.Preview.Manifests,
		func(m types.ManifestDeletion) bool { return m.Refused != types.RefusedAccess })
}

// previewDelete reads what the delete that the parameters name would remove.
//
// Errors: 400 for too many elements; errNotFound for a repository that the sender may not see.
func (q *request) previewDelete() (*deleteView, error) {
	v := &deleteView{Name: q.param("repo")}
	v.Cancel = q.page.repo(v.Name)
	what, err := q.deletion()
	if err != nil {
		return nil, err
	}
	if v.Preview, err = q.visitor.PreviewDeletion(q.Context(), v.Name, what); err != nil {
		return nil, unlessDenied(err)
	}
	if v.Preview.Everything != nil {
		return v, q.previewRepository(v)
	}
	var digests []string
	for _, tag := range v.Preview.Tags {
		v.Tags = append(v.Tags, deletedTag{tag, `"` + tag.Digest + `"`})
		v.Possible = v.Possible || !tag.Missing && tag.Refused == ""
		if tag.Digest != "" && !slices.Contains(digests, tag.Digest) {
			digests = append(digests, "digest", tag.Digest)
		}
	}
	for _, m := range v.Preview.Manifests {
		v.Manifests = append(v.Manifests, deletedManifest{m, versionOf(&m), kindOf(m.ArtifactType, m.MediaType)})
		v.Possible = v.Possible || !m.Missing && m.Refused == ""
	}
	if len(digests) > 0 && q.mayRepository(v.Name, auth.Delete) {
		v.Images = withParams(q.page.repo(v.Name, "delete"), digests...)
	}
	v.Form = q.entry(deleteForm, "")
	return v, nil
}

// previewRepository adds what the delete of a whole repository needs.
func (q *request) previewRepository(v *deleteView) error {
	r, version, err := q.visitor.Repository(q.Context(), v.Name)
	if err != nil {
		return unlessDenied(err)
	}
	if !r.Exists {
		return errNotFound
	}
	v.Repository, v.Version, v.Form = &r, version, q.entry(deleteForm, version)
	v.Possible = v.Preview.Everything.Refused == ""
	return nil
}

// deletion returns what the parameters tag and digest name. Each counts once.
//
// Errors: 400 for too many.
func (q *request) deletion() (types.Deletion, error) {
	what := types.Deletion{Tags: unique(q.values["tag"]), Digests: unique(q.values["digest"])}
	if len(what.Tags)+len(what.Digests) > maxChanged {
		return what, errInvalid("At most 200 tags and images can be deleted at once.")
	}
	return what, nil
}

// unique returns the texts without the empty ones, each once.
func unique(list []string) (kept []string) {
	seen := map[string]bool{"": true}
	for _, text := range list {
		if !seen[text] {
			seen[text] = true
			kept = append(kept, text)
		}
	}
	return kept
}

// versionOf returns the version of an image for its delete: it changes with what goes together with the image.
func versionOf(m *types.ManifestDeletion) string {
	b, err := json.Marshal([]any{m.Digest, m.Tags, m.MoreTags, m.Missing})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// outcome is what a change did to one of several elements.
type outcome struct {
	// Name is the tag, or "". Digest is that of the image, or "".
	Name, Digest string
	// Failed says why nothing was done, or is "".
	Failed string
	// denied is the error of a sender without permission.
	denied error
}

// refused returns the error of a change of which nothing was permitted, or nil.
func (v *doneView) refused() error {
	denied := func(o outcome) bool { return o.denied != nil }
	if len(v.Failed) == 0 || len(v.Done) > 0 || slices.ContainsFunc(v.Failed, func(o outcome) bool { return !denied(o) }) {
		return nil
	}
	return v.Failed[0].denied
}

// doneView is what the template "deleted" shows, after a change of which a part failed.
type doneView struct {
	Name         string
	Done, Failed []outcome
	Undo         *form
	Back         string
	// Lost are the digests of manifests that a restore could not bring back.
	Lost []string
	// Restored is set for a restore.
	Restored bool
}

// doDelete deletes what the form names, each element if it is as the form says.
func doDelete(q *request) (*answer, error) {
	began := time.Now()
	what, err := q.deletion()
	if err != nil {
		return nil, err
	}
	if len(what.Tags)+len(what.Digests) == 0 {
		return q.deleteRepository(began)
	}
	versions := map[string]string{}
	for _, pair := range [][2]string{{"tag", "tag-version"}, {"digest", "digest-version"}} {
		names, list := q.values[pair[0]], q.values[pair[1]]
		if len(names) != len(list) || len(names) != len(unique(names)) {
			return nil, errInvalid("The form is malformed.")
		}
		for i, name := range names {
			versions[name] = list[i]
		}
	}
	repo := q.param("repo")
	var all []outcome
	for _, tag := range what.Tags {
		version := client.Version(versions[tag])
		if version == "" || version == client.AnyVersion {
			version = `""`
		}
		o, err := q.outcome(q.visitor.DeleteTag(q.Context(), repo, tag, version))
		if err != nil {
			return nil, err
		}
		o.Name = tag
		all = append(all, o)
	}
	images, err := q.deleteImages(repo, what.Digests, versions)
	if err != nil {
		return nil, err
	}
	return q.deleted(repo, began, append(all, images...))
}

// deleteImages deletes images with their tags, if these are the tags that the sender has seen.
func (q *request) deleteImages(repo string, digests []string, versions map[string]string) (all []outcome, err error) {
	if len(digests) == 0 {
		return nil, nil
	}
	now, err := q.visitor.PreviewDeletion(q.Context(), repo, types.Deletion{Digests: digests})
	if err != nil {
		return nil, unlessDenied(err)
	}
	for i := range now.Manifests {
		m := &now.Manifests[i]
		failed := error(client.ErrChanged)
		if versions[m.Digest] == versionOf(m) {
			failed = q.visitor.DeleteImage(q.Context(), repo, m.Digest, client.Version(`"`+m.Digest+`"`), false)
		}
		o, err := q.outcome(failed)
		if err != nil {
			return nil, err
		}
		o.Digest = m.Digest
		all = append(all, o)
	}
	return all, nil
}

// outcome returns what to say about the error of one of several changes.
//
// Errors: those that are not about the element, such as a storage that does not respond.
func (q *request) outcome(err error) (outcome, error) {
	var answered *client.Error
	t := q.language.Text
	switch {
	case err == nil:
		return outcome{}, nil
	case errors.Is(err, client.ErrChanged):
		return outcome{Failed: t("It was changed meanwhile. Look at it again.")}, nil
	case !errors.As(err, &answered) || answered.Status >= http.StatusInternalServerError && answered.Status !=
		http.StatusServiceUnavailable:
		return outcome{}, err
	case answered.Code == "MANIFEST_BLOB_UNKNOWN":
		return outcome{Failed: t("Content of it was removed by a garbage collection.")}, nil
	case answered.Status == http.StatusNotFound:
		return outcome{Failed: t("It is not there any more.")}, nil
	}
	o := outcome{}
	_, text, detail := describe(err)
	if o.Failed = t(text); detail != "" {
		o.Failed += " " + inert(detail)
	}
	if answered.Status == http.StatusUnauthorized || errors.Is(err, client.ErrDenied) && !isImmutable(answered) {
		o.denied = err
	}
	return o, nil
}

// isImmutable reports whether an error says that something is protected from everybody.
func isImmutable(e *client.Error) bool { return strings.Contains(e.Detail, "immutable") }

// deleted returns the answer after a delete: a redirect to the repository, which offers the undo, or a page that says
// what failed.
func (q *request) deleted(repo string, began time.Time, all []outcome) (*answer, error) {
	v := &doneView{Name: repo, Back: q.page.repo(repo)}
	for _, o := range all {
		if o.Failed == "" {
			v.Done = append(v.Done, o)
		} else {
			v.Failed = append(v.Failed, o)
		}
	}
	if len(v.Failed) == 0 {
		return q.to(v.Back, changedParams("deleted", began, len(v.Done))...), nil
	}
	if err := v.refused(); err != nil {
		return nil, err
	}
	if q.mayRepository(repo, auth.Push) {
		v.Undo = q.undoForm(repo, v.Done)
	}
	a := q.show(q.language.Text("Not everything was deleted"), v)
	a.template, a.status = "deleted", http.StatusConflict
	return a, nil
}

// undoForm returns the form that restores what was deleted, or nil.
func (q *request) undoForm(repo string, done []outcome) *form {
	if len(done) == 0 || !q.has("restore") {
		return nil
	}
	f := &form{URL: q.page.repo(repo, "restore")}
	for _, o := range done {
		if o.Name != "" {
			f.Fields = append(f.Fields, field{"tag", o.Name}, field{"version", ""})
		} else {
			f.Fields = append(f.Fields, field{"digest", o.Digest})
		}
	}
	return f
}

// deleteRepository deletes the repository, if its name was typed.
func (q *request) deleteRepository(began time.Time) (*answer, error) {
	name, version := q.param("repo"), q.version()
	if version == client.AnyVersion {
		version = `""`
	}
	e := q.typed(deleteForm)
	if q.value("typed") != name {
		e.fail("typed", q.language.Text("Type %s to confirm.", name))
		return q.again(e, showDelete)
	}
	if err := q.visitor.DeleteRepository(q.Context(), name, version); err != nil {
		return nil, unlessDenied(err)
	}
	if !q.mayRepository(name, auth.Push) {
		return q.to(q.page.path(), "done", "deleted"), nil
	}
	return q.to(q.page.repo(name), changedParams("deleted", began, 1)...), nil
}
