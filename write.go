package registry

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/reference"
)

// startUpload serves POST: a mount, a whole push, or the start of an upload.
func (c *call) startUpload() error {
	algorithm, err := algorithmParam(c.query)
	if err != nil {
		return err
	}
	d := c.op.Ref.Digest
	if c.op.Kind == OpCreateUpload && d != "" {
		return c.pushWhole(d)
	}
	// Only a push with a digest has a body. Any other body would be lost.
	if c.body.length() > 0 || !c.body.atEnd() {
		return ErrUploadInvalid.WithMessage("a body requires the parameter digest")
	}
	if c.op.Kind == OpMountBlob {
		desc, err := c.backend.MountBlob(c.writeContext(), c.op.Repository, d, &MountOptions{From: c.op.From})
		if err == nil {
			return c.createdBlob(desc.Digest)
		}
		if !mayUpload(err) {
			return err
		}
	}
	if c.query.Has("mount") {
		if d, err := digestParam(c.query, "mount"); err == nil {
			algorithm = d.Algorithm()
		}
	}
	u, err := c.backend.CreateUpload(c.writeContext(), c.op.Repository, &UploadOptions{Algorithm: algorithm})
	if err != nil {
		return err
	}
	if n := c.r.opts.ChunkMinLength; n > 0 {
		c.w.set("Oci-Chunk-Min-Length", strconv.FormatInt(n, 10))
	}
	c.describeUpload(u)
	return c.writeEmpty(http.StatusAccepted)
}

// mayUpload reports whether the client can upload the blob after a mount failed with err. A source
// that the caller may not pull from looks like a source without the blob, or a name that the
// Backend cannot have. If the target is the reason of the refusal, it also refuses the upload.
func mayUpload(err error) bool {
	for _, e := range []*Error{ErrBlobUnknown, ErrNameUnknown, ErrNameInvalid, ErrDigestInvalid, ErrDenied,
		ErrUnauthorized, ErrUnsupported} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// pushWhole receives a blob that is the body of the POST.
func (c *call) pushWhole(d digest.Digest) error {
	_, also, err := digestsParam(c.query)
	if err != nil {
		return err
	}
	length := c.body.length()
	u, err := c.backend.CreateUpload(c.writeContext(), c.op.Repository,
		&UploadOptions{Algorithm: d.Algorithm(), Size: max(length, 0)})
	if err != nil {
		return err
	}
	if _, err = u.Commit(c.writeContext(), d, &Chunk{Length: length, Body: &c.body}, also...); err != nil {
		if !errors.Is(err, ErrDigestInvalid) {
			_ = u.Cancel(c.writeContext()) // if this fails, the upload expires
		}
		return err
	}
	return c.createdBlob(d)
}

// appendUpload serves PATCH.
func (c *call) appendUpload() error {
	u, err := c.resume(ResumeOptions{Continue: true})
	if err != nil {
		return err
	}
	chunk, err := c.chunk(u.Size())
	if err == nil {
		_, err = u.Append(c.writeContext(), chunk.Offset, chunk.Length, chunk.Body)
	}
	if err != nil {
		return c.explain(err)
	}
	c.describeUpload(u)
	return c.writeEmpty(http.StatusAccepted)
}

// finishUpload serves PUT, which may have the last chunk.
func (c *call) finishUpload() error {
	d, also, err := digestsParam(c.query)
	if err != nil {
		return err
	}
	u, err := c.resume(ResumeOptions{Continue: true})
	if err != nil {
		return err
	}
	var last *Chunk
	if c.body.length() != 0 || len(c.req.Header["Content-Range"]) > 0 {
		if last, err = c.chunk(u.Size()); err != nil {
			return c.explain(err)
		}
		if last.Length == 0 && last.Offset == u.Size() {
			last = nil
		}
	}
	if _, err := u.Commit(c.writeContext(), d, last, also...); err != nil {
		return c.explain(err)
	}
	return c.createdBlob(d)
}

// uploadStatus serves GET and HEAD.
func (c *call) uploadStatus() error {
	u, err := c.resume(ResumeOptions{})
	if err != nil {
		return err
	}
	c.describeUpload(u)
	return c.writeEmpty(http.StatusNoContent)
}

// cancelUpload serves DELETE.
func (c *call) cancelUpload() error {
	u, err := c.resume(ResumeOptions{})
	if err != nil {
		return err
	}
	if err := u.Cancel(c.writeContext()); err != nil {
		return err
	}
	return c.writeEmpty(http.StatusNoContent)
}

// resume returns the upload that the URL names. A handler that continues the upload sets
// opts.Continue, because the client has the newest ID, from the Location of the last response.
func (c *call) resume(opts ResumeOptions) (Upload, error) {
	opts.Owner = c.backend.identity.Name
	return c.backend.ResumeUpload(c.writeContext(), c.op.Repository, c.op.UploadID, &opts)
}

// chunk returns the body as a chunk of an upload that has the given size.
//
// Errors: ErrRangeInvalid. The Body of the chunk returns it, too, if its length is not that of the
// Content-Range.
func (c *call) chunk(size int64) (*Chunk, error) {
	ranges := c.req.Header["Content-Range"]
	if len(ranges) == 0 {
		return &Chunk{Offset: size, Length: c.body.length(), Body: &c.body}, nil
	}
	if len(ranges) > 1 {
		return nil, ErrRangeInvalid.WithMessage("invalid Content-Range")
	}
	if first, ok := parseEmptyContentRange(ranges[0]); ok && (c.body.length() == 0 || c.body.atEnd()) {
		return &Chunk{Offset: first, Body: &c.body}, nil
	}
	first, last, ok := parseContentRange(ranges[0])
	if !ok {
		return nil, ErrRangeInvalid.WithMessage("invalid Content-Range")
	}
	length := last - first + 1
	switch c.body.length() {
	case length:
		return &Chunk{Offset: first, Length: length, Body: &c.body}, nil
	case -1:
		return &Chunk{Offset: first, Length: -1, Body: &exactBody{body: &c.body, left: length}}, nil
	}
	return nil, ErrRangeInvalid.WithMessage("Content-Range and Content-Length contradict each other")
}

// exactBody is a body of unknown length that must be as long as its Content-Range states.
type exactBody struct {
	body *requestBody
	left int64
}

var errNotExact = ErrRangeInvalid.WithMessage("the chunk is not as long as its Content-Range")

// Read implements [io.Reader].
func (b *exactBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		if !b.body.atEnd() {
			return 0, errNotExact
		}
		return 0, io.EOF
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if err = nil; b.left > 0 {
			err = errNotExact
		}
	}
	return n, err
}

// explain returns err. For ErrRangeInvalid it sets the headers that tell the client where to
// continue.
func (c *call) explain(err error) error {
	if errors.Is(err, ErrRangeInvalid) {
		if u, resumeErr := c.resume(ResumeOptions{}); resumeErr == nil {
			c.describeUpload(u)
		}
	}
	return err
}

// describeUpload sets the headers that state how much of an upload has been received. The Range
// header cannot express zero bytes: "0-0" looks like one byte, but no client reads it that way.
func (c *call) describeUpload(u Upload) {
	c.w.set("Location", c.location(target{endpoint: endpointUpload, repo: c.target.repo, uploadID: u.ID()}))
	c.w.set("Range", "0-"+strconv.FormatInt(max(u.Size()-1, 0), 10))
	c.w.set("Docker-Upload-Uuid", u.Name())
}

// createdBlob sends 201 for a blob.
func (c *call) createdBlob(d digest.Digest) error {
	c.w.set("Location", c.location(target{endpoint: endpointBlob, repo: c.target.repo, ref: reference.Ref{Digest: d}}))
	c.w.set("Docker-Content-Digest", string(d))
	return c.writeEmpty(http.StatusCreated)
}

func (c *call) putManifest() error {
	opts, err := c.putOptions()
	if err != nil {
		return err
	}
	mediaType, err := c.contentType()
	if err != nil {
		return err
	}
	content, err := c.readManifest()
	if err != nil {
		return err
	}
	res, err := c.backend.PutManifest(c.writeContext(), c.op.Repository, mediaType, content, opts)
	if err != nil {
		return err
	}
	d := res.Descriptor.Digest
	location := target{endpoint: endpointManifest, repo: c.target.repo, ref: reference.Ref{Digest: d}}
	c.w.set("Location", c.location(location))
	c.w.set("Docker-Content-Digest", string(d))
	c.w.set("Etag", etag(d)) // what an If-Match of the next push needs
	if res.Subject != nil {
		c.w.set("Oci-Subject", string(res.Subject.Digest))
	}
	if c.target.ref.Digest != "" {
		for _, tag := range res.Tags {
			c.w.Header().Add("OCI-Tag", tag)
		}
	}
	return c.writeEmpty(http.StatusCreated)
}

// putOptions returns the options that a PUT of a manifest asks for. Its condition applies to what
// the request sets: the tag in the path, each tag of the parameter tag, or without tags the
// manifest by its digest.
func (c *call) putOptions() (*PutOptions, error) {
	cond, err := c.condition()
	if err != nil {
		return nil, err
	}
	opts := &PutOptions{Digest: c.op.Ref.Digest, Tags: slices.Clone(c.op.Tags)}
	if len(opts.Tags) == 0 {
		opts.If = cond
	}
	for i := range opts.Tags {
		opts.Tags[i].If = cond
	}
	return opts, nil
}

// contentType returns the media type of the request without its parameters, or "" if the request
// has none.
func (c *call) contentType() (string, error) {
	types := c.req.Header["Content-Type"]
	if len(types) == 0 {
		return "", nil
	}
	mediaType, _, _ := strings.Cut(types[0], ";")
	mediaType = strings.TrimSpace(mediaType)
	if len(types) > 1 || !validMediaType(mediaType) {
		return "", ErrManifestInvalid.WithMessage("invalid Content-Type")
	}
	return mediaType, nil
}

// validMediaType reports whether s has the form of RFC 6838, section 4.2.
func validMediaType(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	return ok && validMediaName(kind) && validMediaName(sub)
}

func validMediaName(s string) bool {
	if s == "" || len(s) > 127 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && strings.IndexByte("!#$&-^_.+", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// readManifest returns the body if it does not exceed the maximum size of a manifest. A stated
// length is trusted only if it leads to a refusal.
func (c *call) readManifest() ([]byte, error) {
	limit := c.r.opts.MaxManifestSize
	if c.body.length() > limit {
		return nil, ErrManifestTooLarge
	}
	var buf bytes.Buffer
	if n := c.body.length(); n > 0 {
		buf.Grow(int(min(n, 64<<10)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(&c.body, limit+1))
	switch {
	case errors.Is(err, ErrBlobTooLarge):
		return nil, ErrManifestTooLarge.WithCause(err)
	case err != nil:
		return nil, err
	case n > limit:
		return nil, ErrManifestTooLarge
	}
	return buf.Bytes(), nil
}
