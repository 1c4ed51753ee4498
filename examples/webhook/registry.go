package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/middleware"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// The environment variables that make this program the registry.
const (
	dirVariable    = "EXAMPLE_REGISTRY_DIR"
	urlVariable    = "EXAMPLE_WEBHOOK_URL"
	secretVariable = "EXAMPLE_WEBHOOK_SECRET"
)

// serveRegistry serves a registry on a directory, and sends its events to a webhook. It prints its
// address.
func serveRegistry(ctx context.Context, dir, url, secret string) error {
	driver, err := disk.New(dir, nil)
	if err != nil {
		return err
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		return err
	}
	hook, err := webhook.New(url, &webhook.Options{
		Format:       format.JSON(),
		Secrets:      []auth.Secret{auth.Secret(secret)},
		AllowPrivate: true, // the receiver of this example is on loopback
	})
	if err != nil {
		return err
	}
	box, err := outbox.New(driver, []outbox.Destination{{Name: "example", Sink: hook}}, &outbox.Options{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Lease:  time.Second, // the default, 30 seconds, would make the example wait
	})
	if err != nil {
		return err
	}
	go func() { _ = box.Run(ctx) }()
	reg, err := registry.New(store, &registry.Options{Sink: box})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	return newServer(middleware.LocalOnly(reg)).Serve(listener)
}

// process is a registry that runs as a process.
type process struct {
	url string
	cmd *exec.Cmd
}

// startRegistry starts this program again, as a registry, and waits until it listens.
func startRegistry(ctx context.Context, dir, url string, secret auth.Secret) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), dirVariable+"="+dir, urlVariable+"="+url, secretVariable+"="+secret.Value())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	p := &process{url: strings.TrimSpace(line), cmd: cmd}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the registry has not started: %w", err), p.kill())
	}
	return p, nil
}

// kill ends the process without giving it a chance to do anything. It may be called twice.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = p.cmd.Wait() // "signal: killed"
	return nil
}

// imageManifest returns the manifest of an image.
func imageManifest(config ocispec.Descriptor, layers ...ocispec.Descriptor) ([]byte, error) {
	return json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: layers,
	})
}
