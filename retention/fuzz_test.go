package retention_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/retention"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(planRules))
	f.Add([]byte("rules:\n- {name: r, repositories: [a/**, '!a/b'], " +
		"if: {labels: {x: y}, olderThan: 3d}, keep: {newest: 3}}"))
	f.Add([]byte("rules:\n- {name: r, " +
		"keep: {versions: 2, per: minor, group: '(a)', platforms: linux/amd64, signed: true}}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := retention.Parse("f.yaml", content)
		if err != nil {
			require.Regexp(t, `^retention: f.yaml:[0-9]+: `, err.Error())
			return
		}
		again, err := retention.Parse("f.yaml", []byte(r.Text()))
		require.NoError(t, err)
		require.Equal(t, r.Names(), again.Names())
	})
}

func FuzzReadPlan(f *testing.F) {
	f.Add([]byte(`{"format": "retention plan","version": 1,"storage": "x","made": "2026-01-02T00:00:00Z","history": 0,` +
		`"rulesName": "f","rules": "rules: []","lines": [{"repository":"a","tag":"v1","digest":"sha256:` +
		`e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","decision":"goes","bytes":1},` +
		`{"repository":"b","decision":"stays"}],"totals": {"tags":1}}`))
	f.Add([]byte(`{"format":`))
	f.Fuzz(func(t *testing.T, content []byte) {
		var planError *retention.PlanError
		p, err := retention.ReadPlan(bytes.NewReader(content))
		if err != nil {
			require.True(t, errors.As(err, &planError), "%v", err)
			return
		}
		last := ""
		for lines, err := range p.Repositories() {
			if err != nil {
				require.True(t, errors.As(err, &planError), "%v", err)
				return
			}
			require.NotEmpty(t, lines)
			require.Greater(t, lines[0].Repository, last)
			last = lines[0].Repository
			for _, l := range lines {
				require.Equal(t, last, l.Repository)
				require.NoError(t, reference.CheckName(l.Repository))
				require.True(t, l.Decision == retention.Stays || l.Decision == retention.Goes)
				if l.Decision == retention.Goes {
					require.NoError(t, reference.CheckDigest(string(l.Digest)))
				}
			}
		}
	})
}
