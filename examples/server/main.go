// Server is a registry on a directory or in memory, as one program:
//
//	go run ./examples/server -addr 127.0.0.1:5000 -storage ./registry-data
//
// Everybody who can reach it may push, pull and delete.
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
		Usage:   "`directory` to keep everything in, or mem://",
		Default: "./registry-data",
		Open:    open,
	})
}

// open returns the driver that -storage names.
func open(_ context.Context, name string) (driver.Driver, error) {
	switch {
	case name == "mem://":
		return memory.New(nil)
	case strings.Contains(name, "://"):
		return nil, fmt.Errorf("-storage %s: only a directory or mem:// is known here; examples/cloud knows buckets", name)
	}
	return disk.New(name, nil)
}
