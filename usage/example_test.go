package usage_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

// Two repositories of a team share the bytes of a blob, and no other repository has it.
func Example() {
	ctx := context.Background()
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		panic(err)
	}
	for _, repo := range []string{"team/app", "team/web", "other"} {
		content := strings.NewReader(strings.Repeat(repo[:4], 25_000))
		if _, err := registry.PushBlob(ctx, store, repo, "", content); err != nil {
			panic(err)
		}
	}
	meter, err := usage.New(store, d, nil)
	if err != nil {
		panic(err)
	}
	if _, err := meter.Count(ctx, nil); err != nil {
		panic(err)
	}

	team, err := meter.Report(ctx, "team")
	fmt.Println(team.Figures.Repositories, team.Figures.Blobs, err)
	fmt.Println(team.Figures.Logical, team.Figures.Repeated, team.Figures.Physical, team.Figures.Exclusive)
	fmt.Println(team.Age(time.Now()) < time.Minute)
	for child, err := range meter.Children(ctx, "team", "") {
		fmt.Println(child.Prefix, child.Figures.Logical, child.Figures.Exclusive, err)
	}
	for day, err := range meter.History(ctx, "team") {
		fmt.Println(day.Counted.IsZero(), day.Figures.Logical, err)
	}
	// Output:
	// 2 1 <nil>
	// 100000 200000 100000 100000
	// true
	// team/app 100000 0 <nil>
	// team/web 100000 0 <nil>
	// false 100000 <nil>
}

// The replicas of a registry count once an hour, and one of them answers.
func ExampleMeter_Job() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		panic(err)
	}
	meter, err := usage.New(store, d, nil)
	if err != nil {
		panic(err)
	}
	job := meter.Job(time.Hour)
	counted := make(chan error, 1)
	job.Done = func(_ any, err error) { counted <- err }
	runner, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{job}})
	if err != nil {
		panic(err)
	}
	go func() { _ = runner.Run(ctx) }()
	fmt.Println(<-counted)
	r, err := meter.Report(ctx, "")
	fmt.Println(r.Figures.Repositories, err)
	// Output:
	// <nil>
	// 0 <nil>
}

// Contents are exact at the time of the call, and do not need a count.
func ExampleMeter_Contents() {
	ctx := context.Background()
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		panic(err)
	}
	if _, err := registry.PushBlob(ctx, store, "team/app", "", strings.NewReader("hello")); err != nil {
		panic(err)
	}
	meter, err := usage.New(store, d, nil)
	if err != nil {
		panic(err)
	}
	contents, err := meter.Contents(ctx, "team/app")
	if err != nil {
		panic(err)
	}
	for d, size := range contents.Blobs() {
		fmt.Println(d.Encoded()[:12], size)
	}
	// Output:
	// 2cf24dba5fb0 5
}
