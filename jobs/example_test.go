package jobs_test

import (
	"context"
	"fmt"
	"time"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage/memory"
)

// Every replica runs the same program. Of all of them, one counts at a time.
func ExampleNew() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	counted := make(chan any)
	d := memory.New(nil) // the storage that the replicas share
	runner, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{{
		Name: "usage", Every: time.Hour,
		Run: func(ctx context.Context, p *jobs.Progress) (any, error) {
			p.Set(map[string]int{"repositories": 3}) // so far
			return map[string]int{"repositories": 7}, ctx.Err()
		},
		Done: func(result any, err error) { counted <- result },
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx) }()
	fmt.Println(<-counted)
	cancel()
	fmt.Println(<-ended)
	// Output:
	// map[repositories:7]
	// context canceled
}

// A page or a command lists the jobs of all replicas, and starts one of them. It needs the storage
// and no job.
func ExampleRunner_Start() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := memory.New(nil)
	done := make(chan error)
	server, err := jobs.New(d, &jobs.Options{Holder: "server", Poll: 10 * time.Millisecond, Jobs: []jobs.Job{{
		Name: "scrub", Run: func(context.Context, *jobs.Progress) (any, error) { return "no damage", nil },
		Done: func(_ any, err error) { done <- err },
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Run(ctx)

	page, err := jobs.New(d, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for page.Start(ctx, "scrub") != nil { // until the server has begun
		time.Sleep(time.Millisecond)
	}
	fmt.Println(<-done)
	list, err := page.List(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range list {
		fmt.Println(s.Name, s.Holder, s.Running, string(s.Result))
	}
	// Output:
	// <nil>
	// scrub server false "no damage"
}
