package quota_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A registry with limits from a file.
func ExampleNew() {
	ctx := context.Background()
	driver := memory.New(nil)
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		log.Fatal(err)
	}
	limits, err := quota.Load("quota.yaml")
	if err != nil {
		log.Fatal(err) // with the line of the mistake
	}
	quotas, err := quota.New(store, store, driver, limits, &quota.Options{
		Soft: func(_ context.Context, c quota.Crossing) {
			log.Printf("%s has %d of %d %s", c.Prefix, c.Used, c.Max, c.Resource)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = quotas.Run(ctx) }()
	go func() {
		_ = store.CollectEvery(ctx, &storage.ScheduleOptions{
			Done: func(*storage.CollectReport, error) { quotas.Changed("") }, // what it has freed counts no more
		})
	}()
	reg, err := registry.New(quotas, nil)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("localhost:5000", reg))
}

// A push that does not fit is refused, and nothing of it is stored.
func ExampleQuotas() {
	ctx := context.Background()
	driver := memory.New(nil)
	store, _ := storage.New(ctx, driver, nil)
	limits, _ := quota.NewLimits([]quota.Limit{{Prefix: "team", Max: quota.Amounts{Bytes: 1 << 10}}})
	quotas, _ := quota.New(store, store, driver, limits, nil)

	_, err := registry.PushBlob(ctx, quotas, "team/app", "", strings.NewReader(strings.Repeat("a", 1000)))
	fmt.Println(err)
	_, err = registry.PushBlob(ctx, quotas, "team/app", "", strings.NewReader(strings.Repeat("b", 100)))
	fmt.Println(errors.Is(err, quota.ErrExceeded))
	state, err := quotas.State(ctx, "team/app")
	fmt.Println(state.Prefix, state.Used.Bytes, state.Max.Bytes, err)
	// Output:
	// <nil>
	// true
	// team 1000 1024 <nil>
}

func ExampleParse() {
	limits, err := quota.Parse("quota.yaml", []byte(`
limits:
- prefix: users/*
  max: {bytes: 5GiB}
- prefix: ""
  max: {bytes: 1TiB}
`))
	fmt.Println(err)
	prefix, ok := limits.Prefix("users/ann/app")
	fmt.Println(prefix, ok)
	_, err = quota.Parse("quota.yaml", []byte("limits:\n- prefix: team\n  max: {bytes: lots}\n"))
	fmt.Println(err)
	// Output:
	// <nil>
	// users/ann true
	// quota: quota.yaml:3: bytes: "lots" is not a number of bytes, such as 1048576, 500MB or 10GiB
}
