package strictjson_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/strictjson"
)

func TestReaderReadsEachKind(t *testing.T) {
	r, err := strictjson.NewReader([]byte(" {\"text\" :\t\"\\ud83d\\ude00 \\\"é\\\\\" , " +
		"\"int\":-7\n, \"map\":{ \"a\":\"b\",\"A\":\"\" },\r\"list\":[ \"x\" ,\"y\"]," +
		`"x":[{"a":"]}\""},[[]],{},-1.5e3,true,null,"\\"],"none":null,"empty":[],"skip":{"a":[1]} } `))
	require.NoError(t, err)
	var text, skipped string
	var n int64
	var m map[string]string
	var list []string
	present, err := r.Object([]string{"text", "int", "map", "list", "none", "empty", "skip"},
		func(key string) (err error) {
			switch key {
			case "text":
				text, err = r.Text()
			case "int":
				n, err = r.Integer()
			case "map":
				m, err = r.StringMap()
			case "skip":
				skipped = string(r.Skip())
			default:
				err = r.Array(func() error {
					s, err := r.Element()
					list = append(list, s)
					return err
				})
			}
			return err
		})
	require.NoError(t, err)
	require.True(t, present)
	require.Equal(t, "😀 \"é\\", text)
	require.EqualValues(t, -7, n)
	require.Equal(t, map[string]string{"a": "b", "A": ""}, m)
	require.Equal(t, []string{"x", "y"}, list)
	require.Equal(t, `{"a":[1]}`, skipped)
}

func TestReaderRefusesAmbiguousKeys(t *testing.T) {
	for content, want := range map[string]string{
		`{"key":1,"key":1}`:        `duplicate key "key"`,
		`{"key":1,"\u006bey":1}`:   `duplicate key "key"`,
		`{"other":1,"other":1}`:    `duplicate key "other"`,
		`{"Key":1}`:                `the key "Key" differs from "key" in case`,
		"{\"\u212aey\":1}":         `the key "\u212aey" differs from "key" in case`, // the sign for Kelvin
		`{"\u212aEY":1}`:           `the key "\u212aEY" differs from "key" in case`,
		`{"\u017fize":1}`:          `the key "\u017fize" differs from "size" in case`,
		`{"key":"x"}`:              `key: it must be a number`,
		`{"key":1.0}`:              `key: "1.0" is not an integer of 64 bits`,
		`["key"]`:                  `it must be an object`,
		strings.Repeat("[", 1e5):   `not valid JSON`,
		`{"key":1}{"key":1}`:       `not valid JSON`,
		"\"\xff\"":                 `not valid UTF-8`,
		`{"other":"\ud83d\u0020"}`: `surrogate`,
	} {
		r, err := strictjson.NewReader([]byte(content))
		if err == nil {
			_, err = r.Object([]string{"key", "size"}, func(string) error {
				_, err := r.Integer()
				return err
			})
		}
		require.ErrorContains(t, err, want)
		var e *strictjson.Error
		require.ErrorAs(t, err, &e)
	}
}

func TestLaxReaderAcceptsWhatMeansNothing(t *testing.T) {
	r, err := strictjson.NewLaxReader([]byte(`{"x":"\ud83d","x":2,"key":1}`))
	require.NoError(t, err)
	_, err = r.Object([]string{"key"}, func(string) error {
		_, err := r.Integer()
		return err
	})
	require.NoError(t, err)
	r, err = strictjson.NewLaxReader([]byte(`{"key":1,"key":1}`))
	require.NoError(t, err)
	_, err = r.Object([]string{"key"}, func(string) error {
		_, err := r.Integer()
		return err
	})
	require.ErrorContains(t, err, "duplicate key")
}
