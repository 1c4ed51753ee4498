package gocloud_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"gocloud.dev/blob/memblob"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
)

func ExampleNew() {
	ctx := context.Background()
	bucket := memblob.OpenBucket(nil) // or fileblob, or another bucket with Options.Providers
	defer bucket.Close()
	d, err := gocloud.New(ctx, bucket, &gocloud.Options{Prefix: "registry/"})
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"fruit/pear", "fruit/apple", "fruit/pear"} {
		_, err := d.Put(ctx, key, strings.NewReader("ripe"), &driver.PutOptions{IfAbsent: true})
		fmt.Println(key, errors.Is(err, driver.ErrExist))
	}
	r, info, err := d.Open(ctx, "fruit/pear", &driver.OpenOptions{Offset: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	rest, err := io.ReadAll(r)
	fmt.Println(info.Size, string(rest), err)
	for info, err := range d.List(ctx, "fruit/", nil) {
		fmt.Println(info.Key, err)
	}
	// The objects are under the prefix.
	fmt.Println(bucket.Exists(ctx, "registry/fruit/apple"))
	// Output:
	// fruit/pear false
	// fruit/apple false
	// fruit/pear true
	// 4 pe <nil>
	// fruit/apple <nil>
	// fruit/pear <nil>
	// true <nil>
}
