package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/manifest"
)

// image returns an image manifest whose config is followed by members.
func image(members ...string) string { return doc(append([]string{config}, members...)...) }

// layer returns an image manifest whose only layer is this JSON.
func layer(json string) string { return image(`"layers":[` + json + `]`) }

var (
	quotedDigest = `"` + string(d2) + `"`
	long         = strings.Repeat("x", 100_000)
)

// refused are manifests by the reason to refuse them. A contentType of "" stands for that of an OCI
// image, "none" for no Content-Type.
var refused = []struct {
	name, contentType, content, want string
}{
	// JSON
	{"empty", "", "", "not valid JSON"},
	{"blank", "", " \n", "not valid JSON"},
	{"null", "", "null", "it must be a JSON object"},
	{"array", "", "[" + image() + "]", "it must be an object"},
	{"string", "", `"x"`, "it must be an object"},
	{"number", "", "2", "it must be an object"},
	{"cut off", "", image()[:40], "not valid JSON"},
	{"trailing garbage", "", image() + "x", "not valid JSON"},
	{"trailing object", "", image() + "{}", "not valid JSON"},
	{"trailing NUL", "", image() + "\x00", "not valid JSON"},
	{"trailing comma", "", `{"a":1,}`, "not valid JSON"},
	{"comment", "", "/**/" + image(), "not valid JSON"},
	{"byte order mark", "", "\ufeff" + image(), "not valid JSON"},
	{"UTF-16", "", "\xff\xfe{\x00}\x00", "not valid UTF-8"},
	{"invalid UTF-8", "", image(`"annotations":{"a":"` + "\xff" + `"}`), "not valid UTF-8"},
	{"invalid UTF-8 in a custom field", "", image(`"x":"` + "\xc0\x80" + `"`), "not valid UTF-8"},
	{"overlong nesting", "", image(`"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000)), "not valid JSON"},
	{"not JSON at all", "", long, "not valid JSON"},

	// media types
	{"another mediaType", typeIndex, image(`"mediaType":"` + typeImage + `"`), "mediaType: it is"},
	{"Docker as OCI", "", image(`"mediaType":"` + manifest.MediaTypeDockerManifest + `"`), "mediaType: it is"},
	{"no type at all", "none", image(), "neither this field nor a Content-Type"},
	{"parameters alone", "; charset=utf-8", image(), "Content-Type: "},
	{"blank Content-Type", "  ", image(), "Content-Type: "},
	{"no subtype", "json", image(), "is not a media type"},
	{"no type", "/json", image(), "is not a media type"},
	{"two slashes", "application/x/json", image(), "is not a media type"},
	{"line break", "application/x\r\nX-Y: z+json", image(), "is not a media type"},
	{"wild card", "application/*", image(), "is not a media type"},
	{"several types", typeImage + ", " + typeIndex, image(), "is not a media type"},
	{"too long a type", "application/" + strings.Repeat("x", 250) + "+json", image(), "is not a media type"},
	{"endless type", "application/" + long + "+json", image(), "is not a media type"},
	{"not ASCII", "application/vnd.doc\u212aer.distribution.manifest.v2+json", image(), "is not a media type"},
	{"mediaType with parameter", "none", image(`"mediaType":"` + typeImage + `; a=b"`), "is not a media type"},
	{"mediaType with line break", "none", image(`"mediaType":"application/json\r\nX: y"`), "is not a media type"},
	{"mediaType with spaces", "none", image(`"mediaType":" ` + typeImage + `"`), "is not a media type"},
	{"mediaType in another case", "", image(`"mediaType":"application/vnd.oci.image.Manifest.v1+json"`), "differs from"},
	{"mediaType in another case alone", "none", image(`"mediaType":"application/vnd.oci.image.Manifest.v1+json"`),
		"differs from"},
	{"mediaType not a string", "", image(`"mediaType":[]`), "mediaType: it must be a string"},
	{"HTML", "text/html", image(), "is not a JSON media type"},
	{"HTML by mediaType", "none", image(`"mediaType":"text/html"`), "is not a JSON media type"},
	{"octets", "application/octet-stream", image(), "is not a JSON media type"},
	{"form", "application/x-www-form-urlencoded", image(), "is not a JSON media type"},

	// schema 1
	{"schema 1", "application/vnd.docker.distribution.manifest.v1+json", `{"schemaVersion":1}`, "schema 1"},
	{"schema 1, signed", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, "schema 1"},
	{"schema 1, type in upper case", "APPLICATION/VND.DOCKER.DISTRIBUTION.MANIFEST.V1+JSON", image(), "schema 1"},
	{"schema 1 by mediaType", "none", image(`"mediaType":"application/vnd.docker.distribution.manifest.v1+json"`),
		"schema 1"},
	{"schema 1 by version", "application/json", `{"schemaVersion":1,` + config + `}`, "schema 1"},
	{"schema 1 by fsLayers", "", image(`"fsLayers":[]`), "schema 1"},

	// schemaVersion
	{"no version", "", `{` + config + `}`, "schemaVersion: it must be 2"},
	{"version 3", "", `{"schemaVersion":3,` + config + `}`, "schemaVersion: it must be 2"},
	{"version 2.0", "", `{"schemaVersion":2.0,` + config + `}`, "schemaVersion: it must be 2"},
	{"version as a string", "", `{"schemaVersion":"2",` + config + `}`, "schemaVersion: it must be 2"},
	{"version null", typeIndex, `{"schemaVersion":null,"manifests":[]}`, "schemaVersion: it must be 2"},
	{"version an object", typeIndex, `{"schemaVersion":{},"manifests":[]}`, "schemaVersion: it must be 2"},

	// shape
	{"layers and manifests", "", image(layers, `"manifests":[]`), "only one of"},
	{"config and manifests", typeIndex, image(`"manifests":[]`), "only one of"},
	{"null layers and manifests", typeIndex, doc(`"layers":null`, `"manifests":[]`), "only one of"},
	{"null manifests and config", "", image(`"manifests":null`), "only one of"},
	{"both, of another type", typeCustom, image(layers, `"manifests":[]`), "only one of"},
	{"blobs and layers", manifest.MediaTypeArtifactManifest, image(`"blobs":[]`), "only one of"},
	{"blobs and manifests", typeIndex, doc(`"manifests":[]`, `"blobs":[]`), "only one of"},
	{"index as image", "", doc(`"manifests":[]`), "config: a manifest of type " + typeImage + " must have it"},
	{"image as index", typeIndex, image(), "manifests: a manifest of type"},
	{"artifact manifest as image", "", doc(`"blobs":[]`), "config: a manifest of type"},
	{"image as artifact manifest", manifest.MediaTypeArtifactManifest, image(), "blobs: a manifest of type"},
	{"layers without config", "", doc(layers), "config: a manifest of type"},
	{"null config", "", doc(`"config":null`, layers), "config: a manifest of type"},
	{"nothing, as image", "", doc(), "config: a manifest of type"},
	{"nothing, as index", typeIndex, doc(), "manifests: a manifest of type"},
	{"nothing, of another type", typeCustom, doc(), "none of"},

	// keys
	{"duplicate layers", "", image(layers, layers), `duplicate key "layers"`},
	{"duplicate layers, one escaped", "", image(layers, `"\u006Cayers":[]`), `duplicate key "layers"`},
	{"duplicate null", "", image(`"subject":null`, `"subject":null`), `duplicate key "subject"`},
	{"duplicate mediaType", "", image(`"mediaType":"`+typeImage+`"`, `"mediaType":"`+typeIndex+`"`),
		`duplicate key "mediaType"`},
	{"duplicate schemaVersion", "", image(`"schemaVersion":1`), `duplicate key "schemaVersion"`},
	{"duplicate digest", "", layer(desc(typeLayer, d1, 1, `"digest":`+quotedDigest)), `layers[0]: duplicate key "digest"`},
	{"duplicate annotation", "", image(`"annotations":{"a":"b","a":"b"}`), `annotations: duplicate key "a"`},
	{"Layers", "", image(`"Layers":[]`), `"Layers" differs from "layers" in case`},
	{"MANIFESTS", "", image(`"MANIFESTS":[]`), "differs from"},
	{"long s", "", image(`"layer\u017f":[]`), `"layer\u017f" differs from "layers" in case`},
	{"MediaType", "", image(`"MediaType":"` + typeIndex + `"`), "differs from"},
	{"Digest", "", layer(desc(typeLayer, d1, 1, `"Digest":`+quotedDigest)), `layers[0]: the key "Digest" differs`},
	{"Size in subject", "", image(`"subject":` + desc(typeImage, d1, 1, `"SIZE":2`)), `subject: the key "SIZE" differs`},

	// fields
	{"config an array", "", doc(`"config":[]`), "config: it must be an object"},
	{"layers an object", "", image(`"layers":{}`), "layers: it must be an array"},
	{"layers a string", "", image(`"layers":"x"`), "layers: it must be an array"},
	{"null layer", "", layer("null"), "layers[0]: it must be an object"},
	{"layer a string", "", layer(quotedDigest), "layers[0]: it must be an object"},
	{"null child", typeIndex, doc(`"manifests":[` + desc(typeImage, d1, 1) + `,null]`),
		"manifests[1]: it must be an object"},
	{"subject a string", "", image(`"subject":` + quotedDigest), "subject: it must be an object"},
	{"empty subject", "", image(`"subject":{}`), "subject.mediaType: a descriptor must have it"},
	{"artifactType a number", "", image(`"artifactType":1`), "artifactType: it must be a string"},
	{"artifactType too long", "", image(`"artifactType":"` + long + `"`), "artifactType: it is longer than"},
	{"artifactType with line break", "", image(`"artifactType":"a/b\n"`), "artifactType: "},
	{"annotations an array", "", image(`"annotations":[]`), "annotations: it must be an object"},
	{"annotation a number", "", image(`"annotations":{"a":1}`), `annotations: the value of "a" must be a string`},
	{"annotation null", "", image(`"annotations":{"a":null}`), `the value of "a" must be a string`},
	{"annotation an object", "", image(`"annotations":{"` + long + `":{}}`), "must be a string"},

	// descriptors
	{"no mediaType", "", layer(`{"digest":` + quotedDigest + `,"size":1}`),
		"layers[0].mediaType: a descriptor must have it"},
	{"empty mediaType", "", layer(desc("", d2, 1)), "layers[0].mediaType: a descriptor must have it"},
	{"mediaType too long", "", layer(desc(long, d2, 1)), "layers[0].mediaType: it is longer than"},
	{"mediaType with NUL", "", layer(`{"mediaType":"a/b\u0000","digest":` + quotedDigest + `,"size":1}`),
		"layers[0].mediaType: "},
	{"mediaType with C1", "", layer(`{"mediaType":"a/b\u0085","digest":` + quotedDigest + `,"size":1}`),
		"layers[0].mediaType: "},
	{"no digest", "", layer(`{"mediaType":"a/b","size":1}`), "layers[0].digest: a descriptor must have it"},
	{"digest null", "", layer(`{"mediaType":"a/b","digest":null,"size":1}`), "layers[0].digest: invalid digest"},
	{"digest a number", "", layer(`{"mediaType":"a/b","digest":1,"size":1}`), "layers[0].digest: it must be a string"},
	{"digest too short", "", layer(desc("a/b", d2[:70], 1)), "layers[0].digest: invalid digest"},
	{"digest in upper case", "", layer(`{"mediaType":"a/b","digest":` + strings.ToUpper(quotedDigest) + `,"size":1}`),
		"layers[0].digest: invalid digest"},
	{"digest as a path", "", layer(`{"mediaType":"a/b","digest":"sha256:../../x","size":1}`),
		"layers[0].digest: invalid digest"},
	{"digest endless", "", layer(`{"mediaType":"a/b","digest":"` + long + `","size":1}`),
		"layers[0].digest: invalid digest"},
	{"digest unsupported", typeIndex, doc(`"manifests":[` + desc(typeImage, "blake3:00", 1) + `]`),
		"manifests[0].digest: invalid digest: unsupported"},
	{"no size", "", layer(`{"mediaType":"a/b","digest":` + quotedDigest + `}`),
		"layers[0].size: a descriptor must have it"},
	{"size negative", "", layer(desc("a/b", d2, -1)), "layers[0].size: it must not be negative"},
	{"size null", "", layer(`{"mediaType":"a/b","digest":` + quotedDigest + `,"size":null}`),
		"layers[0].size: it must be a number"},
	{"size a string", "", layer(`{"mediaType":"a/b","digest":` + quotedDigest + `,"size":"1"}`),
		"layers[0].size: it must be a number"},
	{"size with fraction", "", layer(`{"mediaType":"a/b","digest":` + quotedDigest + `,"size":1.0}`),
		"layers[0].size: \"1.0\" is not an integer"},
	{"size with exponent", "", layer(`{"mediaType":"a/b","digest":` + quotedDigest + `,"size":1e3}`), "is not an integer"},
	{"size too great", "", layer(`{"mediaType":"a/b","digest":` + quotedDigest + `,"size":9223372036854775808}`),
		"is not an integer of 64 bits"},
	{"size endless", "", layer(`{"mediaType":"a/b","digest":` + quotedDigest + `,"size":1` +
		strings.Repeat("0", 100_000) + `}`), "is not an integer of 64 bits"},
	{"sizes that differ", "", layer(desc("a/b", d2, 1) + "," + desc("a/b", d2, 2)),
		string(d2) + ": it is given different sizes"},
	{"urls a string", "", layer(desc("a/b", d2, 1, `"urls":"x"`)), "layers[0].urls: it must be an array"},
	{"annotations of a layer a string", "", layer(desc("a/b", d2, 1, `"annotations":"x"`)),
		"layers[0].annotations: it must be an object"},
	{"platform a string", typeIndex, doc(`"manifests":[` + desc(typeImage, d2, 1, `"platform":"x"`) + `]`),
		"manifests[0].platform: it must be an object"},
	{"data a number", "", layer(desc("a/b", d2, 1, `"data":1`)), "layers[0].data: it must be a string"},

	// strings
	{"half of a surrogate pair", "", image(`"annotations":{"a":"\ud83d"}`), "surrogate"},
	{"second half of a surrogate pair", "", image(`"annotations":{"\ude00":"a"}`), "surrogate"},
	{"halves in the wrong order", "", image(`"x":["\ude00\ud83d"]`), "surrogate"},
	{"half of a surrogate pair before another escape", "", image(`"x":"\ud83d\n\ude00"`), "surrogate"},

	// unknown keys
	{"duplicate unknown key", "", image(`"x":1`, `"x":2`), `duplicate key "x"`},
	{"duplicate unknown key in a descriptor", "", layer(desc("a/b", d2, 1, `"x":1`, `"\u0078":2`)),
		`layers[0]: duplicate key "x"`},
}

// details are members of a descriptor that are refused, whatever it describes, and what is said of
// them.
var details = []struct{ member, want string }{
	{`"mediaType":"a/b"`, `: duplicate key "mediaType"`},
	{`"annotations":{},"annotations":{}`, `: duplicate key "annotations"`},
	{`"urls":null,"urls":[]`, `: duplicate key "urls"`},
	{`"data":null,"data":null`, `: duplicate key "data"`},
	{`"platform":{},"platform":{}`, `: duplicate key "platform"`},
	{`"artifactType":"a/b","artifactType":"a/c"`, `: duplicate key "artifactType"`},
	{`"MediaType":"a/c"`, `: the key "MediaType" differs from "mediaType" in case`},
	{`"\u017fize":2`, `: the key "\u017fize" differs from "size" in case`},
	{`"Platform":{}`, `: the key "Platform" differs`},
	{`"URLs":[]`, `: the key "URLs" differs`},
	{`"url\u017f":[]`, `differs from "urls"`},
	{`"Data":""`, `: the key "Data" differs`},
	{`"Annotations":{}`, `: the key "Annotations" differs`},
	{`"annotation\u017f":{}`, `differs from "annotations"`},
	{`"artifacttype":""`, `: the key "artifacttype" differs`},

	{`"platform":{"os":"linux","Architecture":"arm64"}`,
		`.platform: the key "Architecture" differs from "architecture" in case`},
	{`"platform":{"os":"linux","o\u017f":"windows"}`, `.platform: the key "o\u017f" differs from "os" in case`},
	{`"platform":{"os":"linux","oſ":"windows"}`, `.platform: the key "o\u017f" differs from "os" in case`},
	{`"platform":{"OS":"windows"}`, `.platform: the key "OS" differs`},
	{`"platform":{"os.Version":"1"}`, `.platform: the key "os.Version" differs`},
	{`"platform":{"OS.features":[]}`, `.platform: the key "OS.features" differs`},
	{`"platform":{"Variant":"v8"}`, `.platform: the key "Variant" differs`},
	{`"platform":{"Features":[]}`, `.platform: the key "Features" differs`},
	{`"platform":{"os":"linux","os":"windows"}`, `.platform: duplicate key "os"`},
	{`"platform":{"architecture":"amd64","\u0061rchitecture":"arm64"}`, `.platform: duplicate key "architecture"`},
	{`"platform":{"x":1,"x":2}`, `.platform: duplicate key "x"`},
	{`"platform":{"os":1}`, `.platform.os: it must be a string`},
	{`"platform":{"architecture":{}}`, `.platform.architecture: it must be a string`},
	{`"platform":{"variant":true}`, `.platform.variant: it must be a string`},
	{`"platform":{"os.version":10.0}`, `.platform.os.version: it must be a string`},
	{`"platform":{"os.features":"win32k"}`, `.platform.os.features: it must be an array`},
	{`"platform":{"os.features":[1]}`, `.platform.os.features[0]: it must be a string`},
	{`"platform":{"os.features":["a",null]}`, `.platform.os.features[1]: it must be a string`},
	{`"platform":{"features":[{}]}`, `.platform.features[0]: it must be a string`},
	{`"platform":[]`, `.platform: it must be an object`},

	{`"annotations":{"a":1}`, `.annotations: the value of "a" must be a string`},
	{`"annotations":{"a":null}`, `.annotations: the value of "a" must be a string`},
	{`"annotations":{"a":{}}`, `.annotations: the value of "a" must be a string`},
	{`"annotations":{"a":"b","a":"b"}`, `.annotations: duplicate key "a"`},
	{`"annotations":[]`, `.annotations: it must be an object`},
	{`"urls":[{}]`, `.urls[0]: it must be a string`},
	{`"urls":["http://127.0.0.1/",null]`, `.urls[1]: it must be a string`},
	{`"urls":{}`, `.urls: it must be an array`},
	{`"artifactType":1`, `.artifactType: it must be a string`},

	{`"data":"***"`, `.data: it is not valid Base 64`},
	{`"data":"Mg"`, `.data: it is not valid Base 64`},       // no padding
	{`"data":"Mh=="`, `.data: it is not valid Base 64`},     // stray bits
	{`"data":"Mg==\n"`, `.data: it is not valid Base 64`},   // a line break, which encoding/json overlooks
	{`"data":"M\r\ng=="`, `.data: it is not valid Base 64`}, // the same
	{`"data":"-_=="`, `.data: it is not valid Base 64`},     // the alphabet of URLs
	{`"data":"Mw=="`, `.data: it is not the content`},       // "3"
	{`"data":""`, `.data: it is not the content`},           // nothing
	{`"data":"MjI="`, `.data: it is not the content`},       // "22"
	{`"data":["Mg=="]`, `.data: it must be a string`},
}

// TestParseRefusesDetails puts each refused detail into every descriptor that a manifest can have.
func TestParseRefusesDetails(t *testing.T) {
	docker := func(s string) string { return `"mediaType":"` + s + `"` }
	for _, test := range details {
		d := desc("a/b", d2, 1, test.member)
		for where, content := range map[string][2]string{
			"config":       {typeImage, doc(`"config":` + d)},
			"layers[0]":    {typeImage, layer(d)},
			"subject":      {typeImage, image(`"subject":` + d)},
			"manifests[0]": {typeIndex, doc(`"manifests":[` + d + `]`)},
			"manifests[1]": {manifest.MediaTypeDockerManifestList,
				doc(docker(manifest.MediaTypeDockerManifestList), `"manifests":[`+desc(manifest.MediaTypeDockerManifest, d1,
					1)+`,`+d+`]`)},
			"layers[1]": {manifest.MediaTypeDockerManifest,
				doc(docker(manifest.MediaTypeDockerManifest), config, `"layers":[`+desc("a/c", d1, 1)+`,`+d+`]`)},
			"blobs[0]": {manifest.MediaTypeArtifactManifest, `{"blobs":[` + d + `]}`},
		} {
			m, err := manifest.Parse(content[0], []byte(content[1]))
			require.Nil(t, m, "%s in %s", test.member, where)
			checkError(t, err, where)
			checkError(t, err, test.want)

			if strings.HasPrefix(test.want, ".") { // within a field that Manifest does not have
				_, err = manifest.ParseStored(content[0], []byte(content[1]))
				require.NoError(t, err, "%s: what was stored before this rule is still read", test.member)
			}
		}
	}
}

// TestParseStored reads what an earlier version accepted. A collection that failed on it would stop
// collecting.
func TestParseStored(t *testing.T) {
	for _, content := range []string{
		image(`"x":1`, `"x":2`, `"y":"\ud83d"`),
		layer(desc("a/b", d2, 1, `"platform":{"os":"linux","OS":"windows","os":"x"}`, `"x":1`, `"x":2`)),
		layer(desc("a/b", d2, 1, `"annotations":{"a":1,"a":{}}`, `"urls":[{}]`, `"data":"***"`)),
	} {
		_, err := manifest.Parse(typeImage, []byte(content))
		require.Error(t, err)
		m, err := manifest.ParseStored(typeImage, []byte(content))
		require.NoError(t, err)
		require.Equal(t, d1, m.References[0].Digest)
	}
	_, err := manifest.ParseStored(typeImage, []byte(image(layers, layers)))
	checkError(t, err, `duplicate key "layers"`)
}

func TestParseRefuses(t *testing.T) {
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			contentType := test.contentType
			switch contentType {
			case "":
				contentType = typeImage
			case "none":
				contentType = ""
			}
			m, err := manifest.Parse(contentType, []byte(test.content))
			require.Nil(t, m)
			checkError(t, err, test.want)
		})
	}
}
