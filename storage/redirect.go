package storage

import (
	"context"
	"errors"
	"time"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Defaults of [RedirectOptions].
const (
	// DefaultRedirectSize is the default of RedirectOptions.MinSize, in bytes.
	DefaultRedirectSize = 1 << 20
	// DefaultRedirectExpiry is the default of RedirectOptions.Expiry.
	DefaultRedirectExpiry = 20 * time.Minute
)

// RedirectOptions are the options of redirects, see Options.Redirect. A client that requests a
// large blob gets a signed URL of the storage, so that the transfer costs this process nothing.
// Anyone who knows the URL can fetch the blob until the URL expires, even if the caller loses
// access in the meantime.
//
// A blob is redirected only if its bytes are one data object. All other blobs, and every blob for
// which the driver cannot sign a URL, are sent by this process.
type RedirectOptions struct {
	// MinSize is the minimum size of a blob that is redirected, in bytes. Default:
	// DefaultRedirectSize, 1 MiB. A negative value is an error.
	MinSize int64
	// Expiry is how long a URL works after it was signed. During the first half of that time the
	// same URL is given to further clients, so a client can use a URL for at least half of Expiry.
	// Default: DefaultRedirectExpiry, 20 minutes. A negative value is an error.
	Expiry time.Duration
	// Rewrite returns the URL that clients get for a signed URL, such as the URL of a CDN. If it
	// returns an error or "", this process sends the blob itself. It may be called concurrently.
	// Default: nil, clients get the signed URL.
	Rewrite func(ctx context.Context, url string) (string, error)
}

// check reports an option that is invalid. o may be nil.
func (o *RedirectOptions) check() error {
	if o != nil && (o.MinSize < 0 || o.Expiry < 0) {
		return errors.New("storage: MinSize or Expiry in RedirectOptions is negative")
	}
	return nil
}

// signedURL is a URL that was given to a client.
type signedURL struct {
	url   string
	until time.Time // until when further clients get the same URL
}

// redirect returns a URL from which a client can fetch the bytes of a blob, or "" if there is none.
// A blob of several data objects has none, nor has a blob whose last bytes are in its link. If the
// storage cannot sign the URL, this process sends the blob.
func (s *Store) redirect(ctx context.Context, l *object.Link) string {
	o := s.opts.Redirect
	if o == nil || len(l.Segments) != 1 || len(l.Tail) > 0 {
		return ""
	}
	signer, ok := s.objects.Driver.(driver.URLSigner)
	minSize, expiry := o.MinSize, o.Expiry
	if minSize == 0 {
		minSize = DefaultRedirectSize
	}
	if expiry == 0 {
		expiry = DefaultRedirectExpiry
	}
	if !ok || l.Size < minSize {
		return ""
	}
	key := object.DataKey(l.Segments[0].Name)
	now := time.Now()
	if u, ok := s.signed.Get(key); ok && now.Before(u.until) {
		return u.url
	}
	url, err := signer.SignedURL(ctx, key, expiry)
	if err == nil && o.Rewrite != nil {
		url, err = o.Rewrite(ctx, url)
	}
	if err != nil || url == "" {
		return ""
	}
	s.signed.Add(key, signedURL{url, now.Add(expiry / 2)}, len(key)+len(url)+100)
	return url
}
