//go:build linux || darwin

package disk_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "registry")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	d, err := disk.New(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	ctx := context.Background()
	info, err := d.Put(ctx, "greetings/Hello", strings.NewReader("hello, world"), &driver.PutOptions{IfAbsent: true})
	if err != nil {
		log.Fatal(err)
	}
	body, _, err := d.Open(ctx, info.Key, &driver.OpenOptions{Offset: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	content, err := io.ReadAll(body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Key, info.Size, string(content))
	// Output: greetings/Hello 12 world
}
