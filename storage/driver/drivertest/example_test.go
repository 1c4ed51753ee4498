package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"testing"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// The tests of a driver's package call TestDriver with a function that returns an empty driver. In
// such a package, for example in mydriver/mydriver_test.go, the calling test has a name such as
// TestDriver.
func ExampleTestDriver() {
	_ = func(t *testing.T) { // func TestDriver(t *testing.T)
		drivertest.TestDriver(t, func(t *testing.T) driver.Driver {
			return memory.New(nil) // or mydriver.New(t.TempDir())
		}, &drivertest.Options{
			LargeSize: 16 << 20, // less than the default, for a slow storage
		})
	}
}

// FailWrite and LoseResponse produce the two failures that a caller cannot tell apart: a write that
// did not happen, and a write whose response was lost.
func ExampleFaulty() {
	ctx := context.Background()
	below := memory.New(nil)
	f := drivertest.NewFaulty(below, nil)
	f.FailWrite(1)
	f.LoseResponse(2)
	for _, key := range []string{"failed", "lost", "good"} {
		_, err := f.Put(ctx, key, strings.NewReader("content"), nil)
		_, serr := below.Stat(ctx, key)
		fmt.Println(key, "error:", err != nil, "stored:", serr == nil)
	}
	// Output:
	// failed error: true stored: false
	// lost error: true stored: true
	// good error: false stored: true
}

// FaultyOptions.Before makes chosen operations fail, here every List.
func ExampleFaultyOptions() {
	f := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			if c.Op == "List" {
				return fmt.Errorf("%w: throttled", driver.ErrUnavailable)
			}
			return nil
		},
	})
	ctx := context.Background()
	if _, err := f.Put(ctx, "key", nil, nil); err != nil {
		log.Fatal(err)
	}
	for _, err := range f.List(ctx, "", nil) {
		fmt.Println(errors.Is(err, driver.ErrUnavailable), err)
	}
	// Output:
	// true driver: unavailable: throttled
}
