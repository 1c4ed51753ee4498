package manifest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/manifest"
)

// artifactManifest is the retired artifact manifest, which image-spec has no Go type for any more.
type artifactManifest struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Blobs        []ocispec.Descriptor `json:"blobs,omitempty"`
	Subject      *ocispec.Descriptor  `json:"subject,omitempty"`
	Annotations  map[string]string    `json:"annotations,omitempty"`
}

// anyManifest has the fields of all kinds of manifests. "schemaVersion" has no meaning for unknown
// media types.
type anyManifest struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Blobs        []ocispec.Descriptor `json:"blobs"`
	Subject      *ocispec.Descriptor  `json:"subject"`
	Annotations  map[string]string    `json:"annotations"`
}

// requireSameAsJSON fails unless encoding/json decodes content into the Go types of image-spec, and
// finds there what a strict decoder does.
func requireSameAsJSON(t *testing.T, m *manifest.Manifest, content []byte) {
	t.Helper()
	types := []any{anyManifest{}}
	switch m.MediaType {
	case ocispec.MediaTypeImageManifest, manifest.MediaTypeDockerManifest:
		types = append(types, ocispec.Manifest{})
	case ocispec.MediaTypeImageIndex, manifest.MediaTypeDockerManifestList:
		types = append(types, ocispec.Index{})
	case manifest.MediaTypeArtifactManifest:
		types = append(types, artifactManifest{})
	}
	for _, v := range types {
		requireSameDecoded(t, content, v)
	}
}

// requireSameDecoded fails unless encoding/json and a strict decoder find the same in content for
// the type of v.
func requireSameDecoded(t *testing.T, content []byte, v any) {
	t.Helper()
	lenient, strict := reflect.New(reflect.TypeOf(v)), reflect.New(reflect.TypeOf(v))
	require.NoError(t, json.Unmarshal(content, lenient.Interface()))
	decodeStrictly(t, content, strict.Elem())
	require.Equal(t, strict.Interface(), lenient.Interface())
}

// decodeStrictly decodes one JSON value into v. It knows keys by their exact spelling only, and
// fails on duplicates, on null within arrays and maps, and on base64 that RFC 4648 does not allow.
func decodeStrictly(t *testing.T, text []byte, v reflect.Value) {
	t.Helper()
	if string(text) == "null" {
		return
	}
	switch kind := v.Kind(); {
	case kind == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		decodeStrictly(t, text, v.Elem())
	case kind == reflect.Struct:
		decodeMembers(t, members(t, text), v)
	case kind == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for key, value := range members(t, text) {
			require.Equal(t, byte('"'), value[0])
			element := reflect.New(v.Type().Elem()).Elem()
			decodeStrictly(t, value, element)
			v.SetMapIndex(reflect.ValueOf(key), element)
		}
	case v.Type() == reflect.TypeFor[[]byte]():
		var s string
		require.NoError(t, json.Unmarshal(text, &s))
		require.False(t, strings.ContainsAny(s, "\r\n"))
		data, err := base64.StdEncoding.Strict().DecodeString(s)
		require.NoError(t, err)
		v.SetBytes(data)
	case kind == reflect.Slice:
		var elements []json.RawMessage
		require.NoError(t, json.Unmarshal(text, &elements))
		v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
		for i, e := range elements {
			require.NotEqual(t, "null", string(e))
			decodeStrictly(t, e, v.Index(i))
		}
	default: // a string or a number
		require.NoError(t, json.Unmarshal(text, v.Addr().Interface()))
	}
}

// decodeMembers decodes members into the fields of a struct that have their keys.
func decodeMembers(t *testing.T, members map[string]json.RawMessage, v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			decodeMembers(t, members, v.Field(i))
			continue
		}
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if value, ok := members[key]; ok {
			decodeStrictly(t, value, v.Field(i))
		}
	}
}

// members returns the members of an object, each of which must occur once.
func members(t *testing.T, text []byte) map[string]json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(text))
	tok, err := dec.Token()
	require.NoError(t, err)
	require.Equal(t, json.Delim('{'), tok)
	all := map[string]json.RawMessage{}
	for dec.More() {
		key, err := dec.Token()
		require.NoError(t, err)
		require.NotContains(t, all, key)
		var value json.RawMessage
		require.NoError(t, dec.Decode(&value))
		all[key.(string)] = value
	}
	return all
}
