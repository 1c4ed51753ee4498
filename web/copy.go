package web

import (
	"errors"
	"net/http"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// copyViews are the views of retagging and copying.
func copyViews() []view {
	const path = "/repositories/{repo}/-/"
	return []view{
		{name: "retag", method: "GET", path: path + "retag", part: "tags", handle: showRetag},
		{name: "retag", method: "POST", path: path + "retag", part: "tags", handle: doRetag},
		{name: "copy", method: "GET", path: path + "copy", part: "copies", handle: showCopy},
		{name: "copy", method: "POST", path: path + "copy", part: "copies", handle: doCopy},
	}
}

// copyView is what the templates "retag" and "copy" show.
type copyView struct {
	Name string
	// Image is the image that gets a tag or is copied, and Tag the tag that led to it, or "".
	Image types.Image
	Tag   string
	Form  *entry
	// Now is the digest that the new tag points at, "" if there is no such tag. Asked is set if the
	// sender has to confirm that the tag moves.
	Now   string
	Asked bool
	// Host is that of the registry in references.
	Host   string
	Cancel string
}

// tagRule is the rule for tags.
const tagRule = "A tag has up to 128 letters, digits, dots, hyphens and underscores, and does not begin with . or -."

// copyForm is the id of the forms.
const copyForm = "copy"

// source returns the image that the parameters name.
//
// Errors: errNotFound, also for senders who may not see it.
func (q *request) source(pairs ...string) (*copyView, error) {
	v := &copyView{Name: q.param("repo"), Tag: q.value("tag"), Host: q.registryHost()}
	ref := q.value("digest")
	if ref == "" {
		ref = v.Tag
	}
	if ref == "" {
		return nil, errNotFound
	}
	var err error
	if v.Image, _, err = q.visitor.Image(q.Context(), v.Name, ref); err != nil {
		return nil, unlessDenied(err)
	}
	v.Cancel = q.page.image(v.Name, ref)
	v.Form = q.entry(copyForm, "", pairs...)
	return v, nil
}

// showRetag shows the form with a further tag for an image.
func showRetag(q *request) (*answer, error) {
	v, err := q.source()
	if err != nil {
		return nil, err
	}
	if err := q.need(q.mayRepository(v.Name, auth.Push)); err != nil {
		return nil, err
	}
	return q.retagPage(v)
}

// retagPage shows the form of a retag, with what the tag points at now.
func (q *request) retagPage(v *copyView) (*answer, error) {
	if err := q.readNow(v, v.Name, v.Form.Value("new")); err != nil {
		return nil, err
	}
	return q.show(q.language.Text("Set another tag"), v), nil
}

// readNow reads what a tag points at now.
func (q *request) readNow(v *copyView, repo, tag string) error {
	if tag == "" || reference.CheckTag(tag) != nil || reference.CheckName(repo) != nil {
		return nil
	}
	found, _, err := q.visitor.Tag(q.Context(), repo, tag)
	if absent(err) {
		return nil
	}
	v.Now = found.Digest
	return err
}

// moving decides about the version of a tag that a form sets. A tag that exists is moved only if
// the sender has seen what it points at: the field seen has that digest.
//
// It returns false if the sender has to look first.
func (q *request) moving(v *copyView) (client.Version, bool) {
	seen := q.value("seen")
	switch {
	case v.Now == "" && seen == "":
		return "", true
	case v.Now != "" && v.Now == seen:
		return client.Version(`"` + v.Now + `"`), true
	}
	v.Asked = true
	if seen != "" {
		v.Form.fail("", q.language.Text("The tag was changed meanwhile. Look at what it points at now."))
	}
	v.Form.status = http.StatusConflict
	return "", false
}

// doRetag points a tag at an image of the same repository.
func doRetag(q *request) (*answer, error) {
	e := q.typed(copyForm)
	v, err := q.source()
	if err != nil {
		return nil, err
	}
	tag := q.value("new")
	if reference.CheckTag(tag) != nil {
		e.fail("new", q.language.Text(tagRule))
		return q.again(e, showRetag)
	}
	if err := q.readNow(v, v.Name, tag); err != nil {
		return nil, err
	}
	version, ok := q.moving(v)
	if !ok {
		a := q.show(q.language.Text("Set another tag"), v)
		a.status = http.StatusConflict
		return a, nil
	}
	_, _, err = q.visitor.SetTag(q.Context(), v.Name, tag, version, v.Image.Digest)
	if a, err := q.copyRefused(e, err, "new", showRetag); a != nil || err != nil {
		return a, err
	}
	return q.to(q.page.image(v.Name, tag), "done", "tagged"), nil
}

// copyRefused shows the form again if the API has refused a tag.
func (q *request) copyRefused(e *entry, err error, field string,
	show func(*request) (*answer, error)) (*answer, error) {
	var answered *client.Error
	t := q.language.Text
	if err == nil || !errors.As(err, &answered) {
		return nil, err
	}
	e.status = answered.Status
	switch {
	case errors.Is(err, client.ErrChanged):
		e.fail("", t("The tag was changed meanwhile. Look at what it points at now."))
	case answered.Status == http.StatusConflict: // registry.ErrTagExists
		e.fail(field, t("The tag exists, and you may not move it, or it is immutable."))
	case answered.Status == http.StatusForbidden:
		e.fail(field, t("You have no permission for this."))
	case answered.Code == "UNFINISHED":
		e.fail("", t("The copy takes long and has not ended. No tag was set. Send the form again to go on."))
	case answered.Status == http.StatusBadRequest:
		e.fail(field, t("The request was refused.")+" "+inert(answered.Detail))
	default:
		return nil, err
	}
	return q.again(e, show)
}

// showCopy shows the form with the destination of a copy.
func showCopy(q *request) (*answer, error) {
	v, err := q.source("to-tag", q.value("tag"), "referrers", "true")
	if err != nil {
		return nil, err
	}
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	if err := q.readNow(v, v.Form.Value("to"), v.Form.Value("to-tag")); err != nil {
		return nil, err
	}
	return q.show(q.language.Text("Copy to another repository"), v), nil
}

// doCopy copies an image to another repository.
func doCopy(q *request) (*answer, error) {
	e := q.typed(copyForm)
	v, err := q.source()
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	to, tag := q.value("to"), q.value("to-tag")
	if reference.CheckName(to) != nil {
		e.fail("to", t("A name has lower-case letters, digits, and single separators between them, such as acme/app."))
	}
	if tag != "" && reference.CheckTag(tag) != nil {
		e.fail("to-tag", t(tagRule))
	}
	if e.status != 0 {
		return q.again(e, showCopy)
	}
	if err := q.readNow(v, to, tag); err != nil {
		return nil, err
	}
	version := client.Version("")
	if tag != "" {
		var ok bool
		if version, ok = q.moving(v); !ok {
			a := q.show(t("Copy to another repository"), v)
			a.status = http.StatusConflict
			return a, nil
		}
	}
	_, _, err = q.visitor.Copy(q.Context(), v.Name, version, types.Copy{Digest: v.Image.Digest, To: to, ToTag: tag,
		Referrers: q.value("referrers") == "true"})
	if a, err := q.copyRefused(e, err, "to", showCopy); a != nil || err != nil {
		return a, err
	}
	ref := tag
	if ref == "" {
		ref = v.Image.Digest
	}
	if !q.mayRepository(to, auth.Pull) {
		return q.to(v.Cancel, "done", "copied"), nil
	}
	return q.to(q.page.image(to, ref), "done", "copied"), nil
}
