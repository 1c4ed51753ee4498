package format_test

import (
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/notification"
)

const (
	image = "application/vnd.oci.image.manifest.v1+json"
	layer = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// sample is an event with a name for its golden files.
type sample struct {
	name  string
	event notification.Event
}

func id(n byte) string {
	return "0193764e-7a00-7000-8000-0000000000" + string([]byte{'0' + n/10, '0' + n%10})
}

// samples returns one event for everything that can happen.
func samples() []sample {
	at := time.Date(2026, 11, 30, 12, 0, 0, 123456789, time.UTC)
	manifest := ocispec.Descriptor{MediaType: image, Digest: digest.FromString("manifest"), Size: 527}
	blob := ocispec.Descriptor{MediaType: layer, Digest: digest.FromString("layer"), Size: 3208942}
	request := func(method string) *notification.Request {
		return &notification.Request{
			ID: "5f1c4a8e", Method: method, Host: "registry.example", RemoteAddr: "192.0.2.7:41022",
			UserAgent: "docker/28.0.1",
		}
	}
	list := []sample{
		{"push", notification.Event{Action: notification.Push, Kind: notification.Manifest, Target: &manifest,
			Tags: []string{"v1", "latest"}, Request: request("PUT")}},
		{"push-digest", notification.Event{Action: notification.Push, Kind: notification.Manifest,
			Target: &ocispec.Descriptor{MediaType: image, Digest: manifest.Digest, Size: 527,
				ArtifactType: "application/vnd.example.sbom", Annotations: map[string]string{"a": "<b>"}},
			Request: request("PUT")}},
		{"push-blob", notification.Event{Action: notification.Push, Kind: notification.Blob,
			Target: &ocispec.Descriptor{Digest: blob.Digest, Size: blob.Size}, Request: request("PUT")}},
		{"pull", notification.Event{Action: notification.Pull, Kind: notification.Manifest, Target: &manifest,
			Tags: []string{"v1"}, Request: request("GET"), Count: 10}},
		{"pull-blob", notification.Event{Action: notification.Pull, Kind: notification.Blob, Target: &blob,
			Request: request("GET")}},
		{"mount", notification.Event{Action: notification.Mount, Kind: notification.Blob, Target: &blob,
			From: "team/base", Request: request("POST")}},
		{"delete", notification.Event{Action: notification.Delete, Kind: notification.Manifest, Target: &manifest,
			Tags: []string{"latest", "v1"}, Request: request("DELETE")}},
		{"delete-tag", notification.Event{Action: notification.Delete, Kind: notification.Tag, Target: &manifest,
			Tags: []string{"v1"}, Request: request("DELETE")}},
		{"delete-blob", notification.Event{Action: notification.Delete, Kind: notification.Blob,
			Target: &ocispec.Descriptor{Digest: blob.Digest}, Request: request("DELETE")}},
		{"delete-repository", notification.Event{Action: notification.Delete, Kind: notification.Repository}},
		{"move", notification.Event{Action: notification.Move, Kind: notification.Tag, Target: &manifest,
			Tags: []string{"latest"}, Previous: digest.FromString("previous"), Request: request("PUT")}},
		{"restore", notification.Event{Action: notification.Restore, Kind: notification.Manifest, Target: &manifest,
			Tags: []string{"latest"}}},
	}
	for i := range list {
		e := &list[i].event
		e.ID, e.Time, e.Repository = id(byte(i+1)), at.Add(time.Duration(i)*time.Second), "team/app"
		e.Actor, e.Instance = "ann", "registry-0"
	}
	list = append(list, sample{"quota", notification.Event{
		ID: id(41), Time: at.Add(time.Minute), Action: notification.Quota, Actor: "ann", Instance: "registry-0",
		Limit: &notification.Limit{Prefix: "team", Resource: "bytes", Used: 1200, Soft: 1000, Max: 2000},
	}})
	list = append(list, sample{"account", notification.Event{
		ID: id(42), Time: at.Add(time.Minute), Action: notification.Account, Actor: "ann", Instance: "registry-0",
		Account: &notification.AccountChange{Change: "team.join", Name: "acme", ID: "mzxw6ytboi2dqmrq", Team: "dev",
			Member: "bob", Reason: "new colleague"},
	}}, sample{"account-repository", notification.Event{
		ID: id(43), Time: at.Add(time.Minute), Action: notification.Account, Actor: "ann", Instance: "registry-0",
		Repository: "acme/app",
		Account: &notification.AccountChange{Change: "repository.visibility", Name: "acme", ID: "mzxw6ytboi2dqmrq",
			Before: "private", After: "public"},
	}})
	return append(list, sample{"missing", notification.Event{
		ID: id(40), Time: at.Add(time.Minute), Action: notification.Missing, Instance: "registry-0",
		Gap: &notification.Gap{Stream: "registry-0", Events: 120, First: at.Add(-time.Hour), Last: at, Reason: "age"},
	}})
}
