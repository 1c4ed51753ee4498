package format_test

import (
	"fmt"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
)

// A format that a configuration names.
func ExampleNamed() {
	f, err := format.Named("cloudevents", &format.Options{ExternalURL: "https://registry.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	messages, err := f.Encode([]notification.Event{{
		ID: "0193764e-7a00-7000-8000-000000000001", Time: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC),
		Action: notification.Delete, Kind: notification.Tag, Repository: "ann/app", Tags: []string{"v1"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range messages {
		fmt.Println(m.ContentType)
		fmt.Println(string(m.Body))
	}
	// Output:
	// application/cloudevents+json
	// {"specversion":"1.0","id":"0193764e-7a00-7000-8000-000000000001","source":"https://registry.example","type":"registry.tag.deleted","subject":"ann/app:v1","time":"2026-11-30T12:00:00Z","datacontenttype":"application/json","partitionkey":"ann/app","sequence":"0193764e-7a00-7000-8000-000000000001","data":{"id":"0193764e-7a00-7000-8000-000000000001","time":"2026-11-30T12:00:00Z","action":"delete","kind":"tag","repository":"ann/app","tags":["v1"]}}
}
