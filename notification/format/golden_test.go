package format_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
)

// update writes the golden files anew: go test ./notification/format -run TestGolden -update.
var update = flag.Bool("update", false, "write the golden files")

var names = []string{format.NameCNCF, format.NameHarbor, format.NameCloudEvents, format.NameCloudEventsBinary,
	format.NameCloudEventsBatch, format.NameJSON}

// TestGolden compares every event in every format with testdata/EVENT.FORMAT.txt, which docs/events.md
// shows. "batch" has several events.
func TestGolden(t *testing.T) {
	all := samples()
	events := map[string][]notification.Event{"batch": {all[1].event, all[10].event, all[7].event}}
	for _, s := range all {
		events[s.name] = []notification.Event{s.event}
	}
	for _, name := range names {
		f, err := format.Named(name, &format.Options{ExternalURL: "https://registry.example"})
		require.NoError(t, err)
		for _, of := range slices.Sorted(maps.Keys(events)) {
			messages, err := f.Encode(events[of])
			require.NoError(t, err)
			file := filepath.Join("testdata", of+"."+name+".txt")
			got := text(t, messages)
			if *update {
				require.NoError(t, os.WriteFile(file, got, 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), file)
			again, err := f.Encode(events[of])
			require.NoError(t, err)
			require.Equal(t, messages, again, "the same for every attempt")
		}
	}
}

// text shows messages as HTTP requests with indented bodies, and lines "---" between them.
func text(t *testing.T, messages []format.Message) []byte {
	t.Helper()
	var b bytes.Buffer
	for i, m := range messages {
		if i > 0 {
			b.WriteString("---\n")
		}
		fmt.Fprintf(&b, "Webhook-Id: %s\nContent-Type: %s\n", m.ID, m.ContentType)
		for _, name := range slices.Sorted(maps.Keys(m.Header)) {
			fmt.Fprintf(&b, "%s: %s\n", name, m.Header.Get(name))
		}
		b.WriteString("\n")
		require.NoError(t, json.Indent(&b, m.Body, "", "  "))
		b.WriteString("\n")
	}
	if len(messages) == 0 {
		b.WriteString("no message\n")
	}
	return b.Bytes()
}
