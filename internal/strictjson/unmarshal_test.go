package strictjson

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type sample struct {
	Name  string            `json:"name"`
	Tags  map[string]string `json:"tags,omitempty"`
	Inner []inner           `json:"inner"`
	Time  *time.Time        `json:"time"`
	Other *inner            `json:"other"`
}

type inner struct {
	N int `json:"n"`
}

func TestUnmarshal(t *testing.T) {
	var v sample
	require.NoError(t, Unmarshal([]byte(`{"name":"a","tags":{"x":"1","X":"2"},"inner":[{"n":1},{"n":2}],
		"time":"2026-01-02T03:04:05Z","other":{"n":3}}`), &v))
	require.Equal(t, 2, v.Inner[1].N)
	require.Equal(t, 3, v.Other.N)
	require.Equal(t, "2", v.Tags["X"])
}

func TestUnmarshalRefuses(t *testing.T) {
	for content, problem := range map[string]string{
		`{"nme":"a"}`:                    `unknown field "nme"`,
		`{"Name":"a"}`:                   `unknown field "Name"`,
		`{"name":"a","name":"b"}`:        `the field "name" is repeated`,
		`{"inner":[{"n":1},{"m":2}]}`:    `unknown field "inner[1].m"`,
		`{"other":{"n":1,"n":2}}`:        `the field "other.n" is repeated`,
		`{"tags":{"x":"1","x":"2"}}`:     `the field "tags.x" is repeated`,
		`{"name":1}`:                     "cannot unmarshal number",
		`{"inner":[{"n":1.5}]}`:          "cannot unmarshal number",
		`{"name":"a"} {}`:                "not valid JSON",
		`{"name":"\ud800"}`:              "surrogate",
		"{\"name\":\"\xff\"}":            "UTF-8",
		``:                               "not valid JSON",
		`{"time":"yesterday"}`:           "yesterday",
		`{"name":"a","inner":[[[[]]]]}`:  "cannot unmarshal array",
		`{"name":{"deep":{"deeper":1}}}`: "cannot unmarshal object",
	} {
		require.ErrorContains(t, Unmarshal([]byte(content), new(sample)), problem, content)
	}
}
