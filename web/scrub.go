package web

import (
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// scrubViews are the views of damaged content.
func scrubViews() []view {
	return []view{
		{name: "scrub", method: "GET", path: "/scrub", part: "scrub", handle: showLosses},
		{name: "scrub", method: "GET", path: "/scrub/forget", part: "scrub", handle: showForget},
		{name: "scrub", method: "POST", path: "/scrub/forget", part: "scrub", handle: forgetLoss},
	}
}

// lossesPage is what the template "scrub" shows.
type lossesPage struct {
	Notice    *notice
	Losses    []lossRow
	Next      string
	MayManage bool
	// Job reports whether there is a link to the job that looks for damage.
	Job bool
}

// lossRow is content that is not served.
type lossRow struct {
	types.Loss
	// What says what is wrong, and Do what to do about it.
	What, Do string
	// Tag is a tag by which the content is pushed again, or "".
	Tag string
}

// showLosses shows what is lost.
func showLosses(q *request) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameScrub, auth.Read)); err != nil {
		return nil, err
	}
	list := q.listPage()
	losses, err := collect(q.visitor.OnPage(list).Losses(q.Context()))
	if err != nil {
		return nil, err
	}
	page := lossesPage{Next: q.next(list), MayManage: q.mayRegistry(auth.NameScrub, auth.Manage),
		Job:    q.has("jobs") && q.mayRegistry(auth.NameJobs, auth.Read),
		Notice: q.notice(map[string]string{"forgotten": "It is no longer in the list."})}
	for _, l := range losses {
		page.Losses = append(page.Losses, q.lossRow(l))
	}
	return q.show(q.language.Text("Damaged content"), page), nil
}

// lossRow returns a loss in words.
func (q *request) lossRow(l types.Loss) lossRow {
	t := q.language.Text
	row := lossRow{Loss: l}
	switch l.Reason {
	case "corrupt-blob":
		row.What = t("The bytes of this blob are damaged or gone.")
	case "missing-blob":
		row.What = t("Images of the repository need this blob, and it is gone.")
	case "corrupt-manifest":
		row.What = t("The content of this image is damaged.")
	case "missing-manifest":
		row.What = t("An index names this image, and it is gone.")
	case "dangling-tag":
		row.What = t("A tag points at this image, and it is gone.")
	default:
		row.What = t("A scrub has found it damaged: %s.", l.Reason)
	}
	if len(l.Tags) > 0 {
		row.Tag = l.Tags[0].Name
	}
	switch {
	case row.Tag != "":
		row.Do = t("Push the image again:")
	case l.Manifest:
		row.Do = t("Push the image with this digest again. If nobody needs it, forget it.")
	default:
		row.Do = t(
			"Push an image with this layer again: docker and podman send what is missing. With crane, delete the tag first.")
	}
	return row
}

// forgetPage is what the template "scrub-forget" shows.
type forgetPage struct {
	Loss    lossRow
	Version client.Version
}

// showForget asks whether a loss is to be forgotten.
func showForget(q *request) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameScrub, auth.Manage)); err != nil {
		return nil, err
	}
	loss, version, err := q.visitor.Loss(q.Context(), q.value("repository"), q.value("digest"))
	if err != nil {
		return nil, err
	}
	a := q.show(q.language.Text("Forget damaged content"), forgetPage{q.lossRow(loss), version})
	a.template = "scrub-forget"
	return a, nil
}

// forgetLoss removes a loss from the list.
func forgetLoss(q *request) (*answer, error) {
	err := q.visitor.ForgetLoss(q.Context(), q.value("repository"), q.value("digest"), q.version())
	if err != nil {
		return nil, err
	}
	return q.to(q.page.path("scrub"), "done", "forgotten"), nil
}
