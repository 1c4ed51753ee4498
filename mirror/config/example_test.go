package config_test

import (
	"fmt"

	"github.com/registrykit/registry/mirror/config"
)

// A configuration of two upstreams, and what a mistake in it looks like.
func ExampleParse() {
	c, err := config.Parse([]byte(`
upstreams:
  - name: docker.io
    urls: [https://registry-1.docker.io]
    tagTTL: 1h
  - {name: ghcr.io, urls: [https://ghcr.io], allow: ["acme/**"]}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, u := range c.Upstreams {
		fmt.Println(u.Name, u.URLs, u.TagTTL, u.Allow)
	}
	_, err = config.Parse([]byte(`
upstreams:
  - {name: ghcr.io, urls: [https://ghcr.io], allow: ["acme/["]}
`))
	fmt.Println(err)
	// Output:
	// docker.io [https://registry-1.docker.io] 1h0m0s []
	// ghcr.io [https://ghcr.io] 0s [acme/**]
	// config: line 3: allow: pattern "acme/[": malformed
}

// The value of a flag such as -cache-size.
func ExampleParseSize() {
	fmt.Println(config.ParseSize("10GiB"))
	_, err := config.ParseSize("10GB")
	fmt.Println(err)
	// Output:
	// 10737418240 <nil>
	// this must be a size above zero, such as 1048576, 512MiB or 10GiB
}
