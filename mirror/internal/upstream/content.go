package upstream

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
)

// StatManifest sends one HEAD, and a GET if the upstream does not answer HEAD requests.
//
// Errors, here and below: registry.ErrManifestUnknown (404, 410); ErrRefused;
// registry.ErrTooManyRequests with the time to wait; registry.ErrUnavailable for 5xx, timeouts, DNS,
// TLS, and while the upstream is left alone; ErrContent.
func (u *Upstream) StatManifest(ctx context.Context, repo string, ref reference.Ref) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	err := u.within(ctx, call{kind: "manifest", content: content{repo, ref.Digest},
		ask: func(ctx context.Context, _ *endpoint, c *client.Client, _ *attempt) (err error) {
			desc, err = c.StatManifest(ctx, repo, ref, nil)
			if !errors.Is(err, registry.ErrUnsupported) {
				return err
			}
			m, err := c.GetManifest(ctx, repo, ref)
			if err != nil {
				return err
			}
			desc = m.Descriptor
			return nil
		}})
	return desc, err
}

// GetManifest sends one GET, and checks digest, length and media type.
func (u *Upstream) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	var m *registry.Manifest
	err := u.within(ctx, call{kind: "manifest", content: content{repo, ref.Digest},
		ask: func(ctx context.Context, _ *endpoint, c *client.Client, _ *attempt) (err error) {
			m, err = c.GetManifest(ctx, repo, ref)
			return err
		}})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// StatBlob sends one HEAD.
//
// Errors: registry.ErrBlobUnknown instead of registry.ErrManifestUnknown.
func (u *Upstream) StatBlob(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	err := u.within(ctx, call{kind: "blob", content: content{repo, d},
		ask: func(ctx context.Context, _ *endpoint, c *client.Client, _ *attempt) (err error) {
			desc, err = c.StatBlob(ctx, repo, d, nil)
			return err
		}})
	return desc, err
}
