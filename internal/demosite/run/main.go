// Run serves sites with the page, for people who look at it:
//
//	go run ./internal/demosite/run -data full
//
// It listens on a loopback address for each of several callers, and prints the URLs.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/registrykit/registry/internal/demosite"
)

func main() {
	data := flag.String("data", "full", "Fill the site with this `data`: empty, full or hostile.")
	port := flag.Int("port", 0, "Listen on this `port` and the following ones of 127.0.0.1. 0: any free ones.")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, demosite.Data(*data), *port); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves a site until ctx ends.
func run(ctx context.Context, data demosite.Data, port int) error {
	s, err := demosite.New(ctx, data, &demosite.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer s.Close()
	for i, user := range []string{"", demosite.Boss, demosite.Ann, demosite.Bob, demosite.Cleo} {
		if i > 1 && data == demosite.Empty {
			break
		}
		handler, who := http.Handler(s), "nobody; sign in as boss, ann, bob or cleo: "+demosite.Password
		if user != "" {
			handler, who = s.As(user), "as "+user
		}
		at := 0
		if port != 0 {
			at = port + i
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(at)))
		if err != nil {
			return err
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(listener) }()
		fmt.Printf("http://%s/  %s\n", listener.Addr(), who)
	}
	<-ctx.Done()
	return nil
}
