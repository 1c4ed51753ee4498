package retention_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/retention"
)

// TestDescribe: each field of a rule is described as the file states it.
func TestDescribe(t *testing.T) {
	rules, err := retention.Parse("r.yaml", []byte(`rules:
- name: one
  repositories: ["!a/b", "a/**"]
  tags: x*
  if: {olderThan: 30m, notPulledWithin: 7d, annotations: {k: v}, signed: false}
  keep: {versions: 2, per: major, youngerThan: 90m, pulledWithin: 30d, labels: {stage: [a, b]},
    platforms: [linux/arm/v7], artifactTypes: [a/*], referenced: true}
- {name: two, tags: z*, keep: {newest: 3, group: '(.*)-x'}}
- {name: three, untagged: true, keep: none}
- {name: four, keep: all}
`))
	require.NoError(t, err)
	type conditions = []retention.Condition
	require.Equal(t, []retention.Description{
		{Name: "one", Repositories: []string{"a/**", "!a/b"}, Tags: []string{"x*"},
			If: conditions{{"olderThan", []string{"30m"}}, {"notPulledWithin", []string{"7d"}},
				{"annotations", []string{"k=v"}}, {"signed", []string{"false"}}},
			Keep: conditions{{"versions", []string{"2"}}, {"per", []string{"major"}}, {"youngerThan", []string{"1h30m"}},
				{"pulledWithin", []string{"30d"}}, {"labels", []string{"stage=a", "stage=b"}},
				{"platforms", []string{"linux/arm/v7"}}, {"artifactTypes", []string{"a/*"}}, {"referenced", []string{"true"}}}},
		{Name: "two", Tags: []string{"z*"}, Keep: conditions{{"newest", []string{"3"}}, {"group", []string{"(.*)-x"}}}},
		{Name: "three", Untagged: true, Keep: conditions{{Name: "none"}}},
		{Name: "four", Keep: conditions{{Name: "all"}}},
	}, rules.Describe())
}
