// Server shows a complete registry program on a directory or in memory:
//
//	go run ./examples/server -addr 127.0.0.1:5000 -storage ./registry-data
//
// By default it listens on loopback, and every local process may push, pull and delete. Flags add
// logins, rules and TLS; -h lists them.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/registrykit/registry/examples/internal/serve"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

func main() {
	serve.Main(serve.Storage{
		Usage:   "Store everything in this `directory`, or in memory if it is mem://.",
		Default: "./registry-data",
		Open:    open,
	})
}

// open returns the driver for the value of -storage.
func open(_ context.Context, name string) (driver.Driver, error) {
	switch {
	case name == "mem://":
		return memory.New(nil), nil
	case strings.Contains(name, "://"):
		return nil, fmt.Errorf("-storage %s: must be a directory or mem://; for buckets, use examples/cloud", name)
	}
	return disk.New(name, nil)
}
