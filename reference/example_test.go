package reference_test

import (
	"errors"
	"fmt"

	"github.com/registrykit/registry/reference"
)

func ExampleParseRef() {
	for _, s := range []string{
		"v1.2",
		"sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b",
		"v1/2",
		"md5:d41d8cd9",
	} {
		ref, err := reference.ParseRef(s)
		switch {
		case errors.Is(err, reference.ErrDigestUnsupported):
			fmt.Println("unsupported:", err)
		case err != nil:
			fmt.Println("error:", err)
		case ref.Digest != "":
			fmt.Println("digest by", ref.Digest.Algorithm())
		default:
			fmt.Println("tag", ref.Tag)
		}
	}
	// Output:
	// tag v1.2
	// digest by sha256
	// error: invalid tag: "v1/2": character not allowed: "/" at byte 2
	// unsupported: invalid digest: unsupported algorithm: "md5:d41d8cd9": only sha256 and sha512 are
}

func ExampleParse() {
	for _, s := range []string{
		"ubuntu", "jwilder/nginx-proxy:1.0", "localhost/x", "registry.example:5000/a/b:v1", "localhost:5000", "Ubuntu",
	} {
		image, err := reference.Parse(s)
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		fmt.Println(image.Host, image.Repository, image.Ref)
	}
	// Output:
	// docker.io library/ubuntu latest
	// docker.io jwilder/nginx-proxy 1.0
	// localhost x latest
	// registry.example:5000 a/b v1
	// docker.io library/localhost 5000
	// error: invalid repository name: "Ubuntu": upper-case letter "U" at byte 0
}

func ExampleCheckName() {
	fmt.Println(reference.CheckName("library/busybox"))
	fmt.Println(reference.CheckName("library/../busybox"))
	// Output:
	// <nil>
	// invalid repository name: "library/../busybox": misplaced separator "." at byte 8
}
