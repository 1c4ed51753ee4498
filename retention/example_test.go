package retention_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// exampleStore returns a store with four tags in a repository.
func exampleStore(ctx context.Context) (*storage.Store, driver.Driver) {
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, tag := range []string{"1.0.0", "1.0.1", "1.1.0", "prod"} {
		config, err := registry.PushBlob(ctx, store, "team/app", "", strings.NewReader("config "+tag))
		if err != nil {
			log.Fatal(err)
		}
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[],`+
			`"config":{"mediaType":"application/vnd.example","digest":%q,"size":%d}}`, config.Digest, config.Size)
		if _, err := store.PutManifest(ctx, "team/app", "", []byte(manifest), &registry.PutOptions{
			Tags: []registry.TagPut{{Name: tag}},
		}); err != nil {
			log.Fatal(err)
		}
	}
	return store, d
}

const exampleRules = `
rules:
  - name: one of each minor version
    tags: ["[0-9]*"]
    keep: {versions: 1, per: minor}
`

// A rehearsal writes a plan. In a program, the plan is a file.
func ExamplePlanner_Plan() {
	ctx := context.Background()
	store, d := exampleStore(ctx)
	rules, err := retention.Parse("retain.yaml", []byte(exampleRules))
	if err != nil {
		log.Fatal(err)
	}
	// Everything that was pushed within MinAge stays. Here, all of it was pushed just now.
	planner, err := retention.New(store, d, rules, &retention.Options{MinAge: -1})
	if err != nil {
		log.Fatal(err)
	}
	var plan bytes.Buffer
	totals, err := planner.Plan(ctx, &plan)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(totals.RemovedTags, "of", totals.Tags, "tags go")
	// Output: 1 of 4 tags go
}

// Evaluate decides about one repository, without a plan.
func ExamplePlanner_Evaluate() {
	ctx := context.Background()
	store, d := exampleStore(ctx)
	rules, err := retention.Parse("retain.yaml", []byte(exampleRules))
	if err != nil {
		log.Fatal(err)
	}
	planner, err := retention.New(store, d, rules, &retention.Options{MinAge: -1})
	if err != nil {
		log.Fatal(err)
	}
	e, err := planner.Evaluate(ctx, "team/app", time.Now())
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range e.Lines {
		if l.Tag != "" {
			fmt.Printf("%s %s (%s): %q\n", l.Tag, l.Decision, l.Rule, l.Why)
		}
	}
	// Output:
	// 1.0.0 goes (one of each minor version): ""
	// 1.0.1 stays (one of each minor version): "the highest version of 1.0"
	// 1.1.0 stays (one of each minor version): "the highest version of 1.1"
	// prod stays (): "no rule covers it"
}

// A mistake in a file is an error with its line.
func ExampleLoad() {
	const content = "rules:\n- name: branches\n  tags: [main-*]\n  keep: {newset: 5}\n"
	if err := os.WriteFile("retain.yaml", []byte(content), 0o600); err != nil {
		log.Fatal(err)
	}
	defer os.Remove("retain.yaml")
	_, err := retention.Load("retain.yaml")
	fmt.Println(strings.SplitAfter(err.Error(), "not one of")[0])
	// Output: retention: retain.yaml:4: "newset" is not one of
}

// A program reads a plan repository by repository, for example to show it.
func ExampleReadPlan() {
	ctx := context.Background()
	store, d := exampleStore(ctx)
	rules, err := retention.Parse("retain.yaml", []byte(exampleRules))
	if err != nil {
		log.Fatal(err)
	}
	planner, err := retention.New(store, d, rules, &retention.Options{MinAge: -1})
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := planner.Plan(ctx, &file); err != nil {
		log.Fatal(err)
	}

	plan, err := retention.ReadPlan(&file)
	if err != nil {
		log.Fatal(err)
	}
	for lines, err := range plan.Repositories() {
		if err != nil {
			log.Fatal(err)
		}
		for _, l := range lines {
			if l.Decision == retention.Goes && l.Tag != "" {
				fmt.Println(l.Repository, reference.Ref{Tag: l.Tag}, "by the rule:", l.Rule)
			}
		}
	}
	// Output: team/app 1.0.0 by the rule: one of each minor version
}
