// Package apicheck compares requests and responses of the management API with its OpenAPI description. It is for
// tests: nothing else imports it.
package apicheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// linesType is the media type of lines of JSON.
const linesType = "application/x-ndjson"

// Checker compares requests and responses with a description. It is safe for concurrent use.
type Checker struct {
	// Document is the description.
	Document *openapi3.T
	options  *openapi3filter.Options
}

// Exchange is a request and its response.
type Exchange struct {
	Request      *http.Request // its URL path begins with /v1/
	RequestBody  []byte
	Status       int
	Header       http.Header
	ResponseBody []byte
}

// New returns a Checker for a description in JSON.
//
// Errors: an error for a description that is not valid OpenAPI.
func New(description []byte) (*Checker, error) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	return &Checker{Document: doc, options: &openapi3filter.Options{
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		IncludeResponseStatus: true, MultiError: true,
	}}, nil
}

// Operations returns the methods and paths of the description, such as "GET /v1/users/{user}", sorted.
func (c *Checker) Operations() []string {
	var all []string
	for path, item := range c.Document.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// Operation returns the operation of a request, as [Checker.Operations] lists it.
//
// Errors: an error if the description has none.
func (c *Checker) Operation(r *http.Request) (string, error) {
	route, _, err := c.route(r)
	if err != nil {
		return "", err
	}
	return route.Method + " " + route.Path, nil
}

// route finds the operation of a request. HEAD is GET.
func (c *Checker) route(r *http.Request) (*routers.Route, map[string]string, error) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for path, item := range c.Document.Paths.Map() {
		params, ok := matchPath(strings.Split(path, "/"), segments)
		if op := item.GetOperation(method); ok && op != nil && (len(params) == 0 || !c.literal(r.URL.Path)) {
			return &routers.Route{Spec: c.Document, Path: path, PathItem: item, Method: method, Operation: op}, params, nil
		}
	}
	return nil, nil, fmt.Errorf("%s %s is not described", r.Method, r.URL.Path)
}

// literal reports whether a path has no parameters in the description.
func (c *Checker) literal(path string) bool {
	return !strings.Contains(path, "{") && c.Document.Paths.Value(path) != nil
}

// matchPath returns the parameters of a path, unescaped.
func matchPath(pattern, segments []string) (map[string]string, bool) {
	if len(pattern) != len(segments) {
		return nil, false
	}
	params := map[string]string{}
	for i, p := range pattern {
		if !strings.HasPrefix(p, "{") {
			if p != segments[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		params[strings.Trim(p, "{}")] = value
	}
	return params, true
}

// Check returns an error if the description does not have the response for the request, or if a
// request that is not as described was accepted. To a request that is not described, 404 and 405 are
// right.
func (c *Checker) Check(x Exchange) error {
	route, params, err := c.route(x.Request)
	if err != nil {
		if x.Status == http.StatusNotFound || x.Status == http.StatusMethodNotAllowed {
			return nil
		}
		return fmt.Errorf("%w, and the status is %d", err, x.Status)
	}
	r := x.Request.Clone(context.Background())
	r.Method = route.Method
	r.Body = io.NopCloser(bytes.NewReader(x.RequestBody))
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, QueryParams: r.URL.Query(), Route: route,
		Options: c.options}
	if x.Status < 400 {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			return fmt.Errorf("%s %s was accepted with %d, but: %w", r.Method, r.URL.Path, x.Status, err)
		}
	}
	if x.Request.Method == http.MethodHead {
		return nil
	}
	options := *c.options
	if mediaType := x.Header.Get("Content-Type"); mediaType == linesType {
		// kin-openapi reads no lines of JSON.
		response := route.Operation.Responses.Status(x.Status)
		if response == nil || response.Value.Content.Get(mediaType) == nil {
			return fmt.Errorf("%s %s: the response %d is not described as %s", r.Method, r.URL.Path, x.Status, mediaType)
		}
		options.ExcludeResponseBody = true
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: x.Status, Header: x.Header,
		Body: io.NopCloser(bytes.NewReader(x.ResponseBody)), Options: &options,
	})
	if err == nil && x.Status == http.StatusNoContent && len(x.ResponseBody) > 0 {
		err = errors.New("a 204 has a body")
	}
	if err != nil {
		return fmt.Errorf("%s %s: the response %d is not as described: %w", r.Method, r.URL.Path, x.Status, err)
	}
	return nil
}
