package log_test

import (
	"context"
	"log/slog"
	"os"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/log"
)

// Events as lines of JSON, each with a few attributes.
func ExampleNew() {
	handler := slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // for the output of this example
		}
		return a
	}})
	sink := log.New(slog.New(handler), &log.Options{Attributes: []string{"action", "repository", "tags", "actor"}})
	_ = sink.Notify(context.Background(), []notification.Event{{
		ID: notification.NewID(), Action: notification.Push, Kind: notification.Manifest, Repository: "shop/cart",
		Tags: []string{"v1", "latest"}, Actor: "ann",
	}})
	// Output: {"level":"INFO","msg":"event","action":"push","repository":"shop/cart","tags":["v1","latest"],"actor":"ann"}
}
