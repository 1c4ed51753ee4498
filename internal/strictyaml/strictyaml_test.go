package strictyaml_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/internal/strictyaml"
)

// TestLoad: features that surprise people are refused with their line. The tests of auth/rules have
// more cases.
func TestLoad(t *testing.T) {
	p := &strictyaml.Parser{Prefix: "f.yaml:", Max: 100, Empty: "nothing"}
	for text, want := range map[string]string{
		"":                        "f.yaml:1: nothing",
		"a: 1\n\xff":              "f.yaml:2: not a text in UTF-8",
		"a: 1\n---\nb: 2\n":       "f.yaml:2: a second document",
		"a: &x 1\n":               "f.yaml:1: an anchor",
		"a:\n- !x 1\n":            "f.yaml:2: a tag of YAML",
		strings.Repeat("#\n", 51): "f.yaml:51: more than 100 bytes",
	} {
		_, err := p.Load([]byte(text))
		require.ErrorContains(t, err, want)
	}
}

func TestNodes(t *testing.T) {
	p := &strictyaml.Parser{Prefix: "line ", Max: 1 << 10}
	root, err := p.Load([]byte("a: 007\nb:\n- x\n- true\nc: {}\nd:\n"))
	require.NoError(t, err)
	_, err = p.Mapping(root, "a", "b", "c")
	require.EqualError(t, err, `line 6: "d" is not one of ["a" "b" "c"]`)
	fields, err := p.Mapping(root)
	require.NoError(t, err)
	text, err := p.Text(fields["a"])
	require.NoError(t, err)
	require.Equal(t, "007", text)
	texts, lines, err := p.Texts(fields["b"])
	require.NoError(t, err)
	require.Equal(t, []string{"x", "true"}, texts)
	require.Equal(t, []int{3, 4}, lines)
	for field, want := range map[string]string{"c": "line 5: this must be a text", "d": "line 6: this is empty"} {
		_, err = p.Text(fields[field])
		require.EqualError(t, err, want)
	}
	require.EqualError(t, p.Errorf(&yaml.Node{}, "x"), "line 1: x")
}
