package driver_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"
	"sync/atomic"

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// counting is a Driver that counts the objects and bytes put to the Driver that it wraps. It embeds
// the interface, so the other methods are those of the wrapped Driver.
type counting struct {
	driver.Driver
	puts, bytes atomic.Int64
}

func (c *counting) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	info, err := c.Driver.Put(ctx, key, body, opts)
	if err == nil {
		c.puts.Add(1)
		c.bytes.Add(info.Size)
	}
	return info, err
}

// A wrapper embeds a Driver and overrides the methods that it changes. A Store uses it like any
// other Driver. This wrapper hides optional abilities, which package memory does not have; a
// wrapper of any Driver forwards SingleProcess, as the package comment shows.
func ExampleDriver() {
	ctx := context.Background()
	d := &counting{Driver: memory.New(nil)}
	if _, err := storage.New(ctx, d, nil); err != nil {
		log.Fatal(err)
	}
	before := d.bytes.Load() // the Store has written its layout version
	if _, err := d.Put(ctx, "fruit/pear", strings.NewReader("ripe"), nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println("bytes:", d.bytes.Load()-before)
	// Output:
	// bytes: 4
}

// IfVersion makes a Put a compare-and-swap. The Put fails if another caller, in this or another
// process, has changed the object since it was read.
func ExamplePutOptions_ifVersion() {
	ctx := context.Background()
	d := memory.New(nil)
	first, err := d.Put(ctx, "counter", strings.NewReader("1"), &driver.PutOptions{IfAbsent: true})
	if err != nil {
		log.Fatal(err)
	}
	_, err = d.Put(ctx, "counter", strings.NewReader("2"), &driver.PutOptions{IfVersion: first.Version})
	fmt.Println(err)
	_, err = d.Put(ctx, "counter", strings.NewReader("3"), &driver.PutOptions{IfVersion: first.Version})
	fmt.Println(err)
	// Output:
	// <nil>
	// memory: put counter: driver: object has changed
}
