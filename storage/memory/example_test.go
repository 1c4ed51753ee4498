package memory_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

func ExampleNew() {
	d := memory.New(&memory.Options{MaxBytes: 20})
	ctx := context.Background()
	for _, key := range []string{"fruit/pear", "fruit/apple", "fruit/plum"} {
		_, err := d.Put(ctx, key, strings.NewReader("ten bytes."), nil)
		fmt.Println(key, err == nil, errors.Is(err, driver.ErrNoSpace))
	}
	for info, err := range d.List(ctx, "fruit/", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.Key, info.Size)
	}
	// Output:
	// fruit/pear true false
	// fruit/apple true false
	// fruit/plum false true
	// fruit/apple 10
	// fruit/pear 10
}
