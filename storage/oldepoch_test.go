package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// withoutEpochs rewrites all records as earlier versions of this package wrote them, without
// epochs.
func withoutEpochs(t *testing.T, d driver.Driver) {
	t.Helper()
	for _, prefix := range []string{"c/", "r/"} {
		for info, err := range d.List(t.Context(), prefix, nil) {
			require.NoError(t, err)
			r, _, err := d.Open(t.Context(), info.Key, nil)
			require.NoError(t, err)
			content, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			line, rest, ok := bytes.Cut(content, []byte("\n"))
			var header map[string]json.RawMessage
			if !ok || json.Unmarshal(line, &header) != nil || header["epochs"] == nil {
				continue
			}
			delete(header, "epochs")
			line, err = json.Marshal(header)
			require.NoError(t, err)
			_, err = d.Put(t.Context(), info.Key, io.MultiReader(bytes.NewReader(line), strings.NewReader("\n"),
				bytes.NewReader(rest)), nil)
			require.NoError(t, err)
		}
	}
}

// TestEpochPushOfOldRecord checks records that an earlier version has written, and deletes that
// did not end an epoch.
func TestEpochPushOfOldRecord(t *testing.T) {
	for name, c := range epochDeletes {
		t.Run(name, func(t *testing.T) {
			d := newMemory(t)
			e := newEpochScene(t, newStore(t, d, nil))
			withoutEpochs(t, d)
			looks := 0
			s := newStore(t, drivertest.NewFaulty(d,
				&drivertest.FaultyOptions{Before: func(_ context.Context, call drivertest.Call) error {
					if call.Op == "Open" && (strings.HasPrefix(call.Key, "r/r/b/") ||
						strings.HasSuffix(call.Key, e.child.Digest.Encoded())) {
						looks++
					}
					return nil
				}}), nil)
			require.NoError(t, c.push(e, t, s, tags("v2")))
			require.Positive(t, looks)
			first := looks
			require.NoError(t, c.push(e, t, s, tags("v3")))
			require.Less(t, looks-first, first, "the Store knows the epoch now")

			withoutEpochs(t, d)
			key := map[string]string{"blob": "r/r/b/sha256/" + e.config.Digest.Encoded(),
				"child": "r/r/m/sha256/" + e.child.Digest.Encoded()}[name]
			require.NoError(t, d.Delete(t.Context(), key, ""))
			require.ErrorIs(t, c.push(e, t, newStore(t, d, nil), tags("v4")), registry.ErrManifestBlobUnknown)
		})
	}
}
