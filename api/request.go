package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/strictjson"
)

// Limits of requests.
const (
	maxBody     = 1 << 20 // bytes
	maxPage     = 1000    // elements
	defaultPage = 100
	maxCursor   = 1 << 10 // bytes
)

// request is a request with its caller.
type request struct {
	*http.Request
	api    *API
	writer http.ResponseWriter
	caller *registry.Caller

	query   url.Values
	ifMatch []string // nil if the header is absent
	matched bool     // match was called
	// unchanged is set by a handler that has changed nothing, so that no audit record of a change is made.
	unchanged bool
}

// param returns a parameter of the path, unescaped.
func (q *request) param(name string) string { return q.PathValue(name) }

// parse reads the query and the conditions.
func (q *request) parse(conditional bool) (err error) {
	if q.query, err = url.ParseQuery(q.URL.RawQuery); err != nil {
		return errInvalid.WithMessage("the query is malformed").WithCause(err)
	}
	values := q.Header.Values("If-Match")
	if conditional && len(values) == 0 {
		return errNoCondition
	}
	for _, value := range values {
		for tag := range strings.SplitSeq(value, ",") {
			q.ifMatch = append(q.ifMatch, strings.TrimSpace(tag))
		}
	}
	return nil
}

// only returns an error if the query has a parameter that is not one of names, or repeats one. A handler calls it
// first, so that a misspelt filter is not taken for an absent one.
func (q *request) only(names ...string) error {
	for name, values := range q.query {
		if !slices.Contains(names, name) {
			return errInvalid.WithMessage(fmt.Sprintf("unknown parameter %.64q", name))
		}
		if len(values) > 1 {
			return errInvalid.WithMessage(fmt.Sprintf("the parameter %.64q is repeated", name))
		}
	}
	return nil
}

// filled returns an error if one of the parameters is there without a value. A handler calls it for those that are no
// free text.
func (q *request) filled(names ...string) error {
	for _, name := range names {
		if q.query.Has(name) && q.query.Get(name) == "" {
			return errInvalid.WithMessage(fmt.Sprintf("the parameter %s has no value", name))
		}
	}
	return nil
}

// text returns a parameter of the query, or "".
//
// Errors: 400 for one of more than limit characters.
func (q *request) text(name string, limit int) (string, error) {
	text := q.query.Get(name)
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > limit {
		return "", errInvalid.WithMessage(fmt.Sprintf("%s must have at most %d characters", name, limit))
	}
	return text, nil
}

// match compares If-Match with the current object. A handler calls it inside the write if it can, and otherwise just
// before. Without the header, every object matches; parse has refused the request if the route requires the header.
//
// Errors: registry.ErrPreconditionFailed.
func (q *request) match(current any) error {
	q.matched = true
	if q.ifMatch == nil || slices.Contains(q.ifMatch, "*") || slices.Contains(q.ifMatch, etag(current)) {
		return nil
	}
	return registry.ErrPreconditionFailed.WithMessage("the object was changed meanwhile: read it again")
}

// condition returns the conditions If-Match and If-None-Match on the digest of a tag or manifest. A handler passes them
// to the write, which decides them.
//
// Errors: 400 for a malformed header.
func (q *request) condition() (*registry.Condition, error) {
	q.matched = true
	cond, err := registry.ParseCondition(q.Header)
	if err != nil {
		return nil, errInvalid.WithMessage("If-Match and If-None-Match must be lists of entity tags").WithCause(err)
	}
	return cond, nil
}

// etag returns the entity tag of an object: a hash of its JSON. That of a digest is the digest itself, as in the
// distribution API.
func etag(v any) string {
	if d, ok := v.(digest.Digest); ok {
		return `"` + string(d) + `"`
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("api: %T has no JSON form: %v", v, err))
	}
	sum := sha256.Sum256(b)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// hasNull reports whether JSON contains a null. No schema has one. A client could mean "no
// permissions" by it, where it would stand for the default, such as all scopes of a token.
func hasNull(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		t, err := d.Token()
		if err != nil || t == nil {
			return err == nil
		}
	}
}

// decode reads the body, which must be one JSON object with known fields. v is a pointer to a struct of package types.
//
// Errors: 413, 415 and 400.
func (q *request) decode(v any) error {
	if mediaType, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || mediaType != jsonType {
		return errMediaType
	}
	if q.ContentLength > maxBody { // do not ask the client for it
		return errTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(q.writer, q.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return errTooLarge
	case err != nil:
		return errInvalid.WithMessage("the body could not be read").WithCause(err)
	case len(bytes.TrimSpace(body)) == 0:
		return errInvalid.WithMessage("the body is empty")
	}
	if err := strictjson.Unmarshal(body, v); err != nil {
		return errInvalid.WithMessage("the body: " + err.Error()).WithCause(err)
	}
	if hasNull(body) {
		return errInvalid.WithMessage("the body has a null: leave the field out instead")
	}
	return nil
}

// page returns the position after which a page begins, and its maximum length. The parameter after is a cursor of a
// Link header.
//
// Errors: 400 for a malformed parameter.
func (q *request) page() (after string, limit int, err error) {
	limit = min(defaultPage, q.api.opts.PageSize)
	if q.query.Has("limit") {
		text := q.query.Get("limit")
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return "", 0, errInvalid.WithMessage("limit must be a number from 1 to 1000")
		}
		limit = min(n, q.api.opts.PageSize)
	}
	text := q.query.Get("after")
	if text == "" {
		return "", limit, nil
	}
	if len(text) <= maxCursor {
		after, err = q.caller.OpenCursor(q.list(), text)
	}
	if err != nil || after == "" {
		return "", 0, errInvalid.WithMessage("after must be a cursor of a Link header").WithCause(err)
	}
	return after, limit, nil
}

// list identifies the list of the request, for its cursors.
func (q *request) list() string { return "api " + q.URL.EscapedPath() }

// actor returns the caller, for changes of accounts. reason may be "".
func (q *request) actor(reason string) accounts.Actor {
	return accounts.Actor{Name: q.caller.Identity().Name, Reason: reason}
}
