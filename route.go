package registry

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/registrykit/registry/reference"
)

// endpoint is one form of URL path.
type endpoint int

// The endpoints of the distribution spec, section "Endpoints", and the catalog of Docker's API.
const (
	endpointBase      endpoint = iota // /v2/
	endpointCatalog                   // /v2/_catalog
	endpointManifest                  // /v2/<name>/manifests/<tag or digest>
	endpointBlob                      // /v2/<name>/blobs/<digest>
	endpointUploads                   // /v2/<name>/blobs/uploads/
	endpointUpload                    // /v2/<name>/blobs/uploads/<id>
	endpointTags                      // /v2/<name>/tags/list
	endpointReferrers                 // /v2/<name>/referrers/<digest>
	endpointCount
)

// target is the resource that a URL path names. All of its fields are valid.
type target struct {
	endpoint endpoint
	repo     string
	ref      reference.Ref
	uploadID string
	// badTag is the error for a reference of a manifest that can be neither a tag nor a digest; ref
	// is then empty. Reads treat it like an unknown tag, after authorisation. Writes return it.
	badTag error
}

// parseURL returns the target of the path of u. An encoded slash (%2F) is not a separator, so the
// path must not have one.
//
// Errors: ErrNotFound, ErrNameInvalid, ErrDigestInvalid, ErrUploadUnknown.
func parseURL(u *url.URL) (target, error) {
	if u.RawPath != "" && strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return target{}, ErrNameInvalid.WithMessage("the path has an encoded slash")
	}
	return parsePath(u.Path)
}

// parsePath is the inverse of target.path. It parses from the end, because a repository name may
// contain any component that an endpoint has: only the last two components decide.
func parsePath(path string) (target, error) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	switch {
	case path == "/v2" || ok && rest == "":
		return target{endpoint: endpointBase}, nil
	case !ok:
		return target{}, ErrNotFound
	case rest == "_catalog":
		return target{endpoint: endpointCatalog}, nil
	}
	if name, ok := cutAnySuffix(rest, "/blobs/uploads/", "/blobs/uploads"); ok {
		return target{endpoint: endpointUploads}.in(name)
	}
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return target{endpoint: endpointTags}.in(name)
	}
	before, last := cutLast(rest)
	if name, ok := strings.CutSuffix(before, "/blobs/uploads"); ok {
		return target{endpoint: endpointUpload, uploadID: last}.in(name)
	}
	name, kind := cutLast(before)
	t := target{}
	var err error
	switch kind {
	case "manifests":
		t.endpoint = endpointManifest
		t.ref, err = reference.ParseRef(last)
	case "blobs":
		t.endpoint = endpointBlob
		t.ref.Digest, err = reference.ParseDigest(last)
	case "referrers":
		t.endpoint = endpointReferrers
		t.ref.Digest, err = reference.ParseDigest(last)
	default:
		return target{}, notFound(rest)
	}
	switch {
	case err == nil:
		return t.in(name)
	case reference.CheckName(name) != nil:
		return target{}.in(name) // the name comes first in the path
	case t.endpoint == endpointManifest && !strings.Contains(last, ":"):
		t.badTag = invalid(err)
		return t.in(name)
	}
	return target{}, invalid(err)
}

// in returns t in the repository name.
func (t target) in(name string) (target, error) {
	if err := CheckName(name); err != nil {
		return target{}, err
	}
	if t.endpoint == endpointUpload && !validUploadID(t.uploadID) {
		return target{}, ErrUploadUnknown
	}
	t.repo = name
	return t, nil
}

// notFound returns the error for a path of no known form. A path with empty, "." or ".." components
// gets ErrNameInvalid, which tells the client what is wrong.
func notFound(rest string) error {
	path := "/" + rest
	if strings.Contains(path, "//") || strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../") {
		return ErrNameInvalid
	}
	return ErrNotFound
}

// path returns the path of t, below the prefix of the registry. Names, tags and digests need no
// escaping.
func (t target) path() string {
	switch t.endpoint {
	case endpointCatalog:
		return "/v2/_catalog"
	case endpointManifest:
		return "/v2/" + t.repo + "/manifests/" + t.ref.String()
	case endpointBlob:
		return "/v2/" + t.repo + "/blobs/" + t.ref.String()
	case endpointUploads:
		return "/v2/" + t.repo + "/blobs/uploads/"
	case endpointUpload:
		return "/v2/" + t.repo + "/blobs/uploads/" + url.PathEscape(t.uploadID)
	case endpointTags:
		return "/v2/" + t.repo + "/tags/list"
	case endpointReferrers:
		return "/v2/" + t.repo + "/referrers/" + t.ref.String()
	}
	return "/v2/"
}

// cutLast splits s at its last slash.
func cutLast(s string) (before, last string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

func cutAnySuffix(s string, suffixes ...string) (string, bool) {
	for _, suffix := range suffixes {
		if before, ok := strings.CutSuffix(s, suffix); ok {
			return before, true
		}
	}
	return s, false
}

// validUploadID reports whether id can be the ID of an [Upload].
func validUploadID(id string) bool {
	if id == "" || len(id) > 255 || id == "." || id == ".." {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == '~':
		default:
			return false
		}
	}
	return true
}

// routes holds, for each endpoint, the route of each method.
type routes [endpointCount]struct {
	byMethod map[string]route
	methods  []string // sorted
}

// route is how a request is handled: the operation to authorise, and then the handler.
type route struct {
	op     opFunc
	handle handler
}

// opFunc returns the operation that a request asks for. It gets only the URL, so that the body is
// not read before the operation has been authorised.
type opFunc func(t target, q url.Values) (Op, error)

// handler serves a request that has been authorised. If it returns an error, it has written
// nothing.
type handler func(c *call) error

// add adds the route of a method of an endpoint. Both the operation and the handler are required.
func (r *routes) add(e endpoint, method string, op opFunc, handle handler) {
	m := &r[e]
	if m.byMethod == nil {
		m.byMethod = make(map[string]route)
	}
	m.byMethod[method] = route{op: op, handle: handle}
	m.methods = append(m.methods, method)
	slices.Sort(m.methods)
}

// newRoutes returns all routes. That of /v2/ needs no permission and is served by call.base.
func newRoutes() routes {
	var r routes
	r[endpointBase].methods = []string{http.MethodGet, http.MethodHead}

	r.add(endpointManifest, http.MethodGet, opOf(OpGetManifest), (*call).getManifest)
	r.add(endpointManifest, http.MethodHead, opOf(OpStatManifest), (*call).headManifest)
	r.add(endpointManifest, http.MethodPut, opPutManifest, (*call).putManifest)
	r.add(endpointManifest, http.MethodDelete, opDeleteManifest, (*call).deleteManifest)

	r.add(endpointBlob, http.MethodGet, opOf(OpOpenBlob), (*call).getBlob)
	r.add(endpointBlob, http.MethodHead, opOf(OpStatBlob), (*call).headBlob)
	r.add(endpointBlob, http.MethodDelete, opOf(OpDeleteBlob), (*call).deleteBlob)

	r.add(endpointUploads, http.MethodPost, opStartUpload, (*call).startUpload)
	r.add(endpointUpload, http.MethodGet, opOf(OpResumeUpload), (*call).uploadStatus)
	r.add(endpointUpload, http.MethodHead, opOf(OpResumeUpload), (*call).uploadStatus)
	r.add(endpointUpload, http.MethodPatch, opOf(OpAppend), (*call).appendUpload)
	r.add(endpointUpload, http.MethodPut, opFinishUpload, (*call).finishUpload)
	r.add(endpointUpload, http.MethodDelete, opOf(OpCancel), (*call).cancelUpload)

	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r.add(endpointCatalog, method, opOf(OpRepositories), (*call).listRepositories)
		r.add(endpointTags, method, opOf(OpTags), (*call).listTags)
		r.add(endpointReferrers, method, opOf(OpReferrers), (*call).listReferrers)
	}
	return r
}

// opOf returns an opFunc for operations that the path describes completely.
func opOf(kind OpKind) opFunc {
	return func(t target, _ url.Values) (Op, error) {
		return Op{Kind: kind, Repository: t.repo, Ref: t.ref, UploadID: t.uploadID}, nil
	}
}

func opDeleteManifest(t target, _ url.Values) (Op, error) {
	if t.badTag != nil {
		return Op{}, t.badTag
	}
	return *deleteOp(t.repo, t.ref), nil
}

// errTooManyTags has the status of the distribution spec, section "Pushing Manifests".
var errTooManyTags = &Error{code: "TAG_INVALID", status: http.StatusRequestURITooLong,
	message: "too many tags: at most " + strconv.Itoa(MaxPushTags) + " in one request"}

// opPutManifest returns the operation of a push. The parameter tag, any number of times, belongs to
// a push by digest (distribution spec, section "Pushing Manifests", end-7b). Beside a tag in the
// path its meaning would be ambiguous.
func opPutManifest(t target, q url.Values) (Op, error) {
	if t.badTag != nil {
		return Op{}, t.badTag
	}
	opts := &PutOptions{Digest: t.ref.Digest}
	tags := q["tag"]
	if t.ref.Tag != "" {
		if len(tags) > 0 {
			return Op{}, ErrTagInvalid.WithMessage("the parameter tag requires a push by digest")
		}
		tags = []string{t.ref.Tag}
	}
	if len(tags) > MaxPushTags {
		return Op{}, errTooManyTags
	}
	seen := make(map[string]bool, len(tags))
	for _, tag := range tags {
		if err := CheckTag(tag); err != nil {
			return Op{}, err
		}
		if !seen[tag] {
			seen[tag] = true
			opts.Tags = append(opts.Tags, TagPut{Name: tag})
		}
	}
	return *putOp(t.repo, opts), nil
}

// opStartUpload returns the operation of a POST. It is a mount if the parameter mount asks for a
// possible one, and otherwise an upload. With the parameter digest, the upload is the whole push.
func opStartUpload(t target, q url.Values) (Op, error) {
	op := Op{Kind: OpCreateUpload, Repository: t.repo}
	mount, d := q.Has("mount"), q.Has("digest")
	switch {
	case mount && d:
		return Op{}, ErrDigestInvalid.WithMessage("the parameters digest and mount exclude each other")
	case q.Has("from") && !mount:
		return Op{}, ErrUploadInvalid.WithMessage("the parameter from requires the parameter mount")
	case !mount && !d:
		return op, nil
	}
	var err error
	if d {
		op.Ref.Digest, _, err = digestsParam(q)
		return op, err
	}
	return op, mountParams(q, &op)
}

// mountParams turns op into the mount that the parameters mount and from ask for. A mount only
// saves an upload. If the digest or the source is malformed, op therefore remains the start of an
// upload: some clients name sources as another registry calls them.
func mountParams(q url.Values, op *Op) error {
	mount, err := oneParam(q, "mount", ErrDigestInvalid)
	if err != nil {
		return err
	}
	from, err := oneParam(q, "from", ErrNameInvalid)
	if err != nil {
		return err
	}
	d, err := reference.ParseDigest(mount)
	if err != nil || q.Has("from") && reference.CheckName(from) != nil {
		return nil
	}
	op.Kind, op.Ref.Digest, op.From = OpMountBlob, d, from
	return nil
}

// opFinishUpload returns the operation of a PUT to an upload.
func opFinishUpload(t target, q url.Values) (Op, error) {
	op := Op{Kind: OpCommit, Repository: t.repo, UploadID: t.uploadID}
	var err error
	op.Ref.Digest, _, err = digestsParam(q)
	return op, err
}
