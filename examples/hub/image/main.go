// Image builds the container image of the hub, for several platforms, without docker. The same sources and the same Go
// make the same image, byte for byte.
//
//	go run ./examples/hub/image -layout hub.tar
//	go run ./examples/hub/image -push http://127.0.0.1:5000/ann/hub:v1
//
// The first command writes an OCI image layout, which podman, docker and skopeo load. The second one pushes the image,
// with the credentials that docker login or podman login has stored.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/examples/internal/places"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/reference"
)

// systemCA is the file with the certificates of public authorities on most systems.
const systemCA = "/etc/ssl/certs/ca-certificates.crt"

// program holds the flags.
type program struct {
	layout, push, tag, platforms, version, program, ca, dockerConfig string
	plainHTTP                                                        bool
}

func main() {
	var p program
	p.flags(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (p *program) flags(f *flag.FlagSet) {
	f.StringVar(&p.layout, "layout", "", "Write the image as an OCI image layout to this `path`: a directory, or an "+
		"archive if it ends in .tar, which must not exist.")
	f.StringVar(&p.push, "push", "", "Push the image to this `name`, such as registry.example/ann/hub:v1. A URL with "+
		"http:// is allowed.")
	f.StringVar(&p.tag, "tag", "latest", "The `tag` of the image in -layout.")
	f.StringVar(&p.platforms, "platforms", "linux/amd64,linux/arm64", "Build for these `platforms`.")
	f.StringVar(&p.version, "version", "", "The `version` in the labels of the image. Default: none.")
	f.StringVar(&p.program, "program", "./examples/hub", "Build this `package`. It becomes /hub in the image.")
	f.StringVar(&p.ca, "ca", systemCA, "Put the certificates of public authorities in this PEM `file` into the image. "+
		"The hub needs them for mirrors, webhooks and buckets. \"\": none; then mount a file at "+systemCA+".")
	f.StringVar(&p.dockerConfig, "docker-config", "", "Read credentials from this `file`. Default: that of docker.")
	f.BoolVar(&p.plainHTTP, "plain-http", false, "Push to a name without a scheme by plain HTTP.")
}

// run builds the image, and writes it.
func (p *program) run(ctx context.Context, w io.Writer) (err error) {
	if (p.layout == "") == (p.push == "") {
		return errors.New("give either -layout or -push")
	}
	created, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	b := &builder{program: p.program, version: p.version, created: created}
	if b.ca, err = certificates(p.ca); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "hub-image-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	to, repo, tag, done, err := p.target(ctx)
	if err != nil {
		return err
	}
	index, err := b.build(ctx, to, repo, tag, strings.Split(p.platforms, ","))
	if err = errors.Join(err, done(err)); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s%s: %s\n", p.layout, p.push, index)
	return nil
}

// target opens what the image is written to. done ends the writing; err is the error of the build.
func (p *program) target(ctx context.Context) (to registry.Writer, repo, tag string, done func(err error) error,
	err error) {
	if p.layout != "" {
		l, err := layout.Create(p.layout, &layout.Options{Repository: "hub"})
		if err != nil {
			return nil, "", "", nil, err
		}
		return l, "hub", p.tag, func(err error) error {
			if err != nil {
				return l.Abort()
			}
			return l.Close()
		}, nil
	}
	at, err := places.New(places.Options{PlainHTTP: p.plainHTTP, DockerConfig: p.dockerConfig,
		UserAgent: "registrykit-hub-image", Parallel: 1}).Open(ctx, p.push, false)
	if err != nil {
		return nil, "", "", nil, err
	}
	repo, tag, _ = strings.Cut(at.Image, ":")
	if repo == "" || strings.Contains(at.Image, "@") {
		return nil, "", "", nil, fmt.Errorf("-push %s: this must be a repository with a tag", p.push)
	}
	if tag == "" {
		tag = reference.DefaultTag
	}
	return at.Backend, repo, tag, func(error) error { return nil }, nil
}

// sourceDate returns the time of everything in the image: that of SOURCE_DATE_EPOCH, or the beginning of 1970.
func sourceDate(text string) (time.Time, error) {
	if text == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// certificates reads the file of -ca. The one of the system may be missing.
func certificates(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if path == systemCA && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
