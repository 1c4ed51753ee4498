package manifest

import (
	"bytes"
	"encoding/json"
)

// ArtifactType returns the artifact type that [Parse] would find in a manifest, or "" if the content
// has none or is not a manifest. It is for callers that need nothing else: it checks nothing, and it
// reads no further than it must. For most images that is the config.
func ArtifactType(content []byte) string {
	escaped := bytes.IndexByte(content, '\\') >= 0 // a key may be spelled with escapes
	own := escaped || bytes.Contains(content, []byte(`"artifactType"`))
	if !own && !bytes.Contains(content, []byte(`"config"`)) {
		return ""
	}
	dec := json.NewDecoder(bytes.NewReader(content))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	ofConfig := ""
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return ofConfig
		}
		switch key {
		case "artifactType":
			var text string
			if err := dec.Decode(&text); err != nil || text != "" {
				return text
			}
		case "config":
			var config struct {
				MediaType string `json:"mediaType"`
			}
			if err := dec.Decode(&config); err != nil {
				return ""
			}
			if ofConfig = config.MediaType; !own {
				return ofConfig
			}
		default:
			var skipped json.RawMessage
			if dec.Decode(&skipped) != nil {
				return ofConfig
			}
		}
	}
	return ofConfig
}
