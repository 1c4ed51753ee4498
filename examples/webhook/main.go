// Webhook shows that events survive a crash. It starts a registry with an outbox as a process of
// its own, and a receiver of webhooks that is down at first:
//
//	go run ./examples/webhook
//
// The program pushes an image, kills the registry with SIGKILL, and starts it again. The receiver,
// which is up by then, gets the event of the push and checks its signature. Then the program reads
// the stored events once more, as a receiver would that has lost its database.
//
// registry.go is the registry, receiver.go the receiver, and this file tells the story.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/storage/disk"
)

func main() {
	if dir := os.Getenv(dirVariable); dir != "" { // this process is the registry
		log.Fatal(serveRegistry(context.Background(), dir, os.Getenv(urlVariable), os.Getenv(secretVariable)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := story(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// story runs the example and describes each step in out.
func story(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "webhook-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	secret := webhook.NewSecret()
	rcv, err := startReceiver(secret, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rcv.server.Close()) }()

	reg, err := startRegistry(ctx, dir, rcv.url, secret)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reg.kill()) }()
	fmt.Fprintln(out, "The receiver is down: it answers 503.")
	if err := push(ctx, reg.url, "ann/app", "v1"); err != nil {
		return err
	}
	fmt.Fprintln(out, "Pushed ann/app:v1. The registry has acknowledged it with 201.")
	if err := rcv.refused(ctx); err != nil {
		return err
	}
	if err := reg.kill(); err != nil {
		return err
	}
	fmt.Fprintln(out, "Killed the registry with SIGKILL. The receiver has received nothing.")

	rcv.up.Store(true)
	fmt.Fprintln(out, "The receiver is up. Started the registry again, on the same directory.")
	if reg, err = startRegistry(ctx, dir, rcv.url, secret); err != nil {
		return err
	}
	if err := rcv.wait(ctx, notification.Manifest); err != nil {
		return err
	}
	fmt.Fprintln(out, "Everything has arrived. A replay of the stored events:")
	return replay(ctx, dir, out)
}

// push pushes an image of one layer, as any client would.
func push(ctx context.Context, url, repo, tag string) error {
	c, err := client.New(url, nil)
	if err != nil {
		return err
	}
	config, err := registry.PushBlob(ctx, c, repo, "", bytes.NewReader([]byte(`{"architecture":"amd64","os":"linux"}`)))
	if err != nil {
		return err
	}
	config.MediaType = ocispec.MediaTypeImageConfig
	layer, err := registry.PushBlob(ctx, c, repo, "", bytes.NewReader(make([]byte, 1024)))
	if err != nil {
		return err
	}
	layer.MediaType = ocispec.MediaTypeImageLayer
	manifest, err := imageManifest(config, layer)
	if err != nil {
		return err
	}
	_, err = c.PutManifest(ctx, repo, ocispec.MediaTypeImageManifest, manifest,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}})
	return err
}

// replay lists the events that the outbox has stored. Any process that can open the storage can do
// this. A receiver that stores the cursor of the last event goes on from there.
func replay(ctx context.Context, dir string, out io.Writer) error {
	driver, err := disk.New(dir, nil)
	if err != nil {
		return err
	}
	box, err := outbox.New(driver, nil, nil)
	if err != nil {
		return err
	}
	const fromTheBeginning = ""
	for entry, err := range box.Since(ctx, fromTheBeginning, nil) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "  stored:", describe(entry.Event))
	}
	return nil
}

// describe returns an event in a few words.
func describe(e notification.Event) string {
	return fmt.Sprintf("%s of a %s in %s %v", e.Action, e.Kind, e.Repository, e.Tags)
}

// pollEvery is how often the program looks whether something has happened.
const pollEvery = 10 * time.Millisecond

// until calls done until it returns true or ctx ends.
func until(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// newServer returns a server with the timeouts that net/http does not set by default.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 128 << 10,
		DisableGeneralOptionsHandler: true,
	}
}
