package apicheck

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Generator makes requests from a description: some as the description says, and some that break it. It remembers
// names, IDs and entity tags of earlier responses, so that requests reach objects that exist. It is not safe for
// concurrent use.
type Generator struct {
	checker    *Checker
	rng        *rand.Rand
	operations []operation
	values     map[string][]string // by the name of a parameter or field
	etags      map[string]string   // by path
}

type operation struct {
	method, path string
	op           *openapi3.Operation
	params       openapi3.Parameters
}

// Request is a generated request.
type Request struct {
	// Operation is the method and path of the description.
	Operation string
	Method    string
	// Path is escaped and has the query.
	Path   string
	Header http.Header
	Body   []byte
}

// maxValues is the number of values that a Generator remembers for one name.
const maxValues = 50

// NewGenerator returns a Generator. known has values for parameters, by the name of the parameter.
func NewGenerator(c *Checker, seed uint64, known map[string][]string) *Generator {
	g := &Generator{checker: c, rng: rand.New(rand.NewPCG(seed, 1)), values: map[string][]string{},
		etags: map[string]string{}}
	for name, values := range known {
		g.values[name] = slices.Clone(values)
	}
	for path, item := range c.Document.Paths.Map() {
		for method, op := range item.Operations() {
			params := append(slices.Clone(item.Parameters), op.Parameters...)
			g.operations = append(g.operations, operation{method, path, op, params})
		}
	}
	slices.SortFunc(g.operations, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return g
}

// one reports true once in n calls.
func (g *Generator) one(n int) bool { return g.rng.IntN(n) == 0 }

// Next returns the next request.
func (g *Generator) Next() Request {
	o := g.operations[g.rng.IntN(len(g.operations))]
	r := Request{Operation: o.method + " " + o.path, Method: o.method, Header: http.Header{}}
	path, query := o.path, url.Values{}
	for _, ref := range o.params {
		p := ref.Value
		switch p.In {
		case openapi3.ParameterInPath:
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(g.text(p.Name, p.Schema)))
		case openapi3.ParameterInQuery:
			if p.Required && !g.one(20) || g.one(4) {
				query.Set(p.Name, g.text(p.Name, p.Schema))
			}
		case openapi3.ParameterInHeader:
			g.header(&r, p, path)
		}
	}
	if g.one(40) {
		query.Set(g.word(), g.word())
	}
	r.Path = path
	if len(query) > 0 {
		r.Path += "?" + query.Encode()
	}
	if o.op.RequestBody != nil {
		g.body(&r, o.op.RequestBody.Value)
	}
	if g.one(60) {
		r.Method = []string{"PUT", "PATCH", "DELETE", "POST", "TRACE", "HEAD", "OPTIONS"}[g.rng.IntN(7)]
	}
	return r
}

// header sets a header. If-Match is mostly the entity tag of the object, or "*".
func (g *Generator) header(r *Request, p *openapi3.Parameter, path string) {
	switch {
	case g.one(15):
	case p.Name == "If-Match" && g.etags[path] != "" && g.one(2):
		r.Header.Set(p.Name, g.etags[path])
	case p.Name == "If-Match" && !g.one(5):
		r.Header.Set(p.Name, "*")
	case p.Required || g.one(3):
		r.Header.Set(p.Name, strings.Map(printable, g.text(p.Name, p.Schema)))
	}
}

// printable drops what no header can have.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}

// body sets a body of the first media type.
func (g *Generator) body(r *Request, b *openapi3.RequestBody) {
	if mediaTypes := slices.Sorted(maps.Keys(b.Content)); len(mediaTypes) > 0 {
		r.Header.Set("Content-Type", mediaTypes[0])
		r.Body = g.content(b.Content[mediaTypes[0]])
	}
	switch {
	case g.one(40):
		r.Body = r.Body[:g.rng.IntN(len(r.Body)+1)]
	case g.one(60):
		r.Header.Set("Content-Type", "text/plain")
	case g.one(80):
		r.Body = append(r.Body, r.Body...)
	case g.one(200):
		r.Body = append(bytes.Repeat([]byte(" "), 2<<20), r.Body...)
	case g.one(60):
		r.Body = []byte(strings.Repeat("[", 20_000))
	}
}

// content returns a body of a media type.
func (g *Generator) content(media *openapi3.MediaType) []byte {
	if media.Schema == nil {
		return []byte(g.word())
	}
	content, err := json.Marshal(g.value("", media.Schema.Value, 0))
	if err != nil {
		return []byte("{}")
	}
	return content
}

// text returns a value for a parameter.
func (g *Generator) text(name string, schema *openapi3.SchemaRef) string {
	var v any = g.word()
	if schema != nil {
		v = g.value(name, schema.Value, 0)
	}
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// strange are values that break something somewhere.
var strange = []any{nil, true, -1, 0, 1.5, 1e300, "", " ", ".", "..", "../..", "a/b", "%2F", "%00", "\x00", "\u202e",
	"é", "名前", "null", "A", "-", "$", "{user}", "<script>", "'", strings.Repeat("a", 300), strings.Repeat("a/", 2000),
	[]any{}, map[string]any{},
	"sha256:0", "http://127.0.0.1:1/", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z"}

// word returns a random text, or one of the strange ones.
func (g *Generator) word() string {
	if g.one(3) {
		if s, ok := strange[g.rng.IntN(len(strange))].(string); ok {
			return s
		}
	}
	const letters = "abcdefgh0123456789-"
	b := make([]byte, 1+g.rng.IntN(8))
	for i := range b {
		b[i] = letters[g.rng.IntN(len(letters))]
	}
	return string(b)
}

// fields are the fields of objects that hold the values of a parameter of a path.
var fields = map[string][]string{
	"user": {"name"}, "organisation": {"name"}, "account": {"name"}, "namespace": {"name"}, "team": {"name"},
	"robot": {"name"}, "token": {"id"}, "session": {"id"}, "webhook": {"id"}, "delivery": {"id"}, "job": {"name"},
	"reference": {"digest", "tag"}, "tag": {"name"}, "prefix": {"prefix", "namespace"}, "repository": {"name"},
}

// known returns the remembered values for a parameter or field.
func (g *Generator) known(name string) []string {
	known := g.values[name]
	for _, field := range fields[name] {
		if more := g.values[field]; len(more) > 0 && (len(known) == 0 || g.one(2)) {
			known = more
		}
	}
	return known
}

// value returns a value of a schema, and now and then one of another.
func (g *Generator) value(name string, s *openapi3.Schema, depth int) any {
	known := g.known(name)
	switch {
	case s == nil || depth > 6 || g.one(60):
		return strange[g.rng.IntN(len(strange))]
	case len(s.OneOf) > 0:
		return g.value(name, s.OneOf[g.rng.IntN(len(s.OneOf))].Value, depth+1)
	case len(s.AnyOf) > 0:
		return g.value(name, s.AnyOf[g.rng.IntN(len(s.AnyOf))].Value, depth+1)
	case len(s.AllOf) > 0:
		return g.value(name, s.AllOf[0].Value, depth+1)
	case len(s.Enum) > 0 && !g.one(15):
		return s.Enum[g.rng.IntN(len(s.Enum))]
	case s.Type.Is("boolean"):
		return g.one(2)
	case s.Type.Is("integer"), s.Type.Is("number"):
		return []int64{0, 1, 2, 10, 1000, -1, 1 << 40}[g.rng.IntN(7)]
	case s.Type.Is("array"):
		list := []any{}
		for range g.rng.IntN(4) {
			list = append(list, g.value(name, s.Items.Value, depth+1))
		}
		return list
	case s.Type.Is("object"):
		return g.object(s, depth)
	case len(known) > 0 && !g.one(4):
		return known[g.rng.IntN(len(known))]
	case s.Format == "date-time":
		return []string{"2026-01-02T03:04:05Z", "2030-01-02T03:04:05Z", "2026-01-02T03:04:05+02:00"}[g.rng.IntN(3)]
	}
	return g.word()
}

// object returns an object of a schema. It lacks a required field, or has an unknown one, now and then.
func (g *Generator) object(s *openapi3.Schema, depth int) any {
	v := map[string]any{}
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		ref := s.Properties[field]
		if slices.Contains(s.Required, field) && !g.one(25) || g.one(2) {
			v[field] = g.value(field, ref.Value, depth+1)
		}
	}
	if extra := s.AdditionalProperties.Schema; extra != nil {
		v[g.word()] = g.value("", extra.Value, depth+1)
	} else if g.one(40) {
		v[g.word()] = g.word()
	}
	return v
}

// Learn remembers what a response says: the fields of its objects, and the entity tag.
func (g *Generator) Learn(r Request, header http.Header, body []byte) {
	if tag := header.Get("ETag"); tag != "" && len(g.etags) < 10_000 {
		path, _, _ := strings.Cut(r.Path, "?")
		g.etags[path] = tag
	}
	var v any
	if json.Unmarshal(body, &v) == nil {
		g.learn("", v)
	}
}

func (g *Generator) learn(name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, field := range slices.Sorted(maps.Keys(v)) {
			g.learn(field, v[field])
		}
	case []any:
		for _, element := range v {
			g.learn(name, element)
		}
	case string:
		if len(v) > 300 || slices.Contains(g.values[name], v) {
			return
		}
		known := append(g.values[name], v)
		if len(known) > maxValues {
			known[g.rng.IntN(maxValues)] = v
			known = known[:maxValues]
		}
		g.values[name] = known
	}
}
