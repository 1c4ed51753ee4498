package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// doRestore restores the tags and images that the form names, or everything that the last delete of the repository has
// removed.
func doRestore(q *request) (*answer, error) {
	began, repo := time.Now(), q.param("repo")
	if !q.mayRepository(repo, auth.Pull) {
		return nil, q.need(false)
	}
	tags, digests := q.values["tag"], unique(q.values["digest"])
	versions, to := q.values["version"], q.values["to"]
	if len(tags)+len(digests) > maxChanged || len(versions) > 0 && len(versions) != len(tags) ||
		len(to) > 0 && len(to) != len(tags) || len(tags) != len(unique(tags)) {
		return nil, errInvalid("The form is malformed.")
	}
	v := &doneView{Name: repo, Back: q.back(repo), Restored: true}
	note := func(o outcome, r types.Restored, err error) error {
		said, err := q.outcome(err)
		if err != nil {
			return err
		}
		if v.Lost = append(v.Lost, r.Lost...); said.Failed != "" {
			o.Failed, o.denied = said.Failed, said.denied
			v.Failed = append(v.Failed, o)
			return nil
		}
		for _, m := range r.Manifests {
			v.Done = append(v.Done, outcome{Name: strings.Join(m.Tags, ", "), Digest: m.Digest})
		}
		return nil
	}
	for i, tag := range tags {
		r, err := q.restoreTag(repo, tag, at(to, i), versions, i)
		if err := note(outcome{Name: tag}, r, err); err != nil {
			return nil, err
		}
	}
	for _, d := range digests {
		r, err := q.visitor.Restore(q.Context(), repo, types.Restore{Digest: d})
		if err := note(outcome{Digest: d}, r, err); err != nil {
			return nil, err
		}
	}
	if len(tags)+len(digests) == 0 {
		r, err := q.visitor.Restore(q.Context(), repo, types.Restore{})
		if err := note(outcome{}, r, err); err != nil {
			return nil, err
		}
	}
	if len(v.Failed)+len(v.Lost) == 0 {
		return q.to(v.Back, changedParams("restored", began, len(v.Done))...), nil
	}
	if err := v.refused(); err != nil {
		return nil, err
	}
	a := q.show(q.language.Text("Not everything was restored"), v)
	a.template, a.status = "deleted", http.StatusConflict
	return a, nil
}

// restoreTag restores one tag. Without versions it may move the tag.
func (q *request) restoreTag(repo, tag, to string, versions []string, i int) (types.Restored, error) {
	if len(versions) == 0 {
		return q.visitor.Restore(q.Context(), repo, types.Restore{Tag: tag, To: to})
	}
	version := client.Version(versions[i])
	if version == client.AnyVersion { // such a form has not seen what the tag points at
		version = `""`
	}
	return q.visitor.RestoreTag(q.Context(), repo, tag, version, to)
}

// at returns an element of a list, or "".
func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// back returns the page to go back to after a change of a repository.
func (q *request) back(repo string) string {
	u, err := url.Parse(q.localPath(q.values.Get("back")))
	if err != nil || q.values.Get("back") == "" {
		return q.page.repo(repo)
	}
	query := u.Query()
	for _, name := range []string{"done", "since", "n"} { // those of the change before
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

const (
	undoTime = time.Hour   // how long a page offers the undo of a change
	skew     = time.Minute // between the clocks of replicas
)

// changedParams returns the parameters of a redirect after a change of n elements. They have no text and no name: the
// page that follows finds what was changed in the history of the repository.
func changedParams(done string, began time.Time, n int) []string {
	return []string{"done", done, "since", strconv.FormatInt(began.UnixMilli(), 36), "n", strconv.Itoa(n)}
}

// changed returns the kind of change and the entries of the history that the sender has made since the time in the
// parameters.
func (q *request) changed(repo string) (done string, list []types.Change) {
	done = q.values.Get("done")
	if done != "deleted" && done != "restored" || !q.signedIn() {
		return "", nil
	}
	ms, err := strconv.ParseInt(q.values.Get("since"), 36, 64)
	n, nerr := strconv.Atoi(q.values.Get("n"))
	since := time.UnixMilli(ms)
	if err != nil || nerr != nil || q.now.Sub(since) > undoTime || since.After(q.now.Add(skew)) {
		return "", nil
	}
	const others = 20 // changes by others meanwhile
	page := &client.Page{Limit: min(max(n, 1), maxChanged) + others}
	all, err := collect(q.visitor.OnPage(page).History(q.Context(), repo, ""))
	if err != nil {
		return "", nil // the notice is not worth an error
	}
	by := q.visitor.Identity().Name
	for _, c := range all {
		if c.By == by && !c.Time.Before(since) {
			list = append(list, c)
		}
	}
	return done, list
}

// changeNotice returns the notice after a delete or restore in a repository, or nil. It tells what the history of the
// repository says, so that a link of another page cannot make it say anything else.
func (q *request) changeNotice(repo string) *notice {
	done, list := q.changed(repo)
	switch done {
	case "deleted":
		return q.deletedNotice(repo, list)
	case "restored":
		var tags []string
		for _, c := range list {
			if c.Change == "tag" {
				tags = append(tags, c.Tag)
			}
		}
		if len(tags) == 0 {
			return &notice{Text: q.language.Text("It was restored.")}
		}
		slices.Sort(tags)
		return &notice{Text: q.language.Text("Restored: %s", q.names(slices.Compact(tags)))}
	}
	return nil
}

// deletedNotice returns the notice after a delete, with its undo.
func (q *request) deletedNotice(repo string, list []types.Change) *notice {
	undo := &form{URL: q.page.repo(repo, "restore")}
	var names []string
	for _, c := range list {
		switch {
		case c.Change == "delete-repository":
			return q.undoable(q.language.Text("%s was deleted.", repo), repo, &form{URL: undo.URL})
		case c.Change == "untag":
			names = append(names, c.Tag)
			undo.Fields = append(undo.Fields, field{"tag", c.Tag}, field{"to", digestOf(c.Before)}, field{"version", ""})
		case c.Change == "delete" && c.Before != nil:
			name := shortDigest(c.Before.Digest)
			if len(c.Tags) > 0 {
				name = strings.Join(c.Tags, ", ")
			}
			names = append(names, name)
			undo.Fields = append(undo.Fields, field{"digest", c.Before.Digest})
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return q.undoable(q.language.Text("Deleted: %s", q.names(names)), repo, undo)
}

// undoable returns a notice with an undo, if the sender may restore in the repository.
func (q *request) undoable(text, repo string, undo *form) *notice {
	n := &notice{Text: text}
	if q.has("restore") && q.mayRepository(repo, auth.Push) {
		n.Undo = undo
	}
	return n
}

// names returns the first names of a list, and how many more there are.
func (q *request) names(list []string) string {
	const shown = 5
	if len(list) <= shown {
		return inert(strings.Join(list, ", "))
	}
	return inert(strings.Join(list[:shown], ", ")) + " " +
		q.language.Count(int64(len(list)-shown), "and %s more", "and %s more")
}

// digestOf returns the digest of a descriptor, or "".
func digestOf(d *types.Descriptor) string {
	if d == nil {
		return ""
	}
	return d.Digest
}
