package display

import (
	"fmt"

	"github.com/registrykit/registry/replicate"
)

// Copies returns a value for replicate.Options.Progress: lines are written for each blob and
// manifest.
func Copies(d Display) func(replicate.Progress) {
	manifests := 0 // finished, at the last call
	return func(p replicate.Progress) {
		what := "blob"
		if p.Manifests > manifests {
			what = "manifest"
		}
		manifests = p.Manifests
		s := State{Done: p.Bytes, Total: p.BytesTotal, Bytes: true}
		if p.BytesTotal > 0 {
			s.Text = fmt.Sprintf("%d/%d blobs", p.Blobs, p.BlobsTotal)
		}
		if p.Done && p.Descriptor.Digest != "" {
			s.Line = fmt.Sprintf("%s %.19s done, %s of %s, %d of %d blobs, %d of %d manifests", what, p.Descriptor.Digest,
				Size(p.Bytes), Size(p.BytesTotal), p.Blobs, p.BlobsTotal, p.Manifests, p.ManifestsTotal)
		}
		d.Show(s)
	}
}
