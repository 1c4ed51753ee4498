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
	// DefaultRedirectSize is the size in bytes from which on a blob is fetched from the storage.
	DefaultRedirectSize = 1 << 20
	// DefaultRedirectExpiry is how long a URL works from when it was signed.
	DefaultRedirectExpiry = 20 * time.Minute
)

// RedirectOptions say when a client that asks for a blob is told a URL of the storage instead: what
// the client then fetches costs this process nothing. Who knows the URL can fetch the blob until it
// expires, whatever becomes of their rights.
type RedirectOptions struct {
	// MinSize is the size in bytes from which on a blob is fetched so. Default:
	// DefaultRedirectSize.
	MinSize int64
	// Expiry is how long a URL works. One that was told before is told again for the first half of
	// it, so each works for half of it at least. Default: DefaultRedirectExpiry.
	Expiry time.Duration
	// Rewrite, unless nil, turns a signed URL into the one that clients are told, that of a CDN for
	// example. If it fails, or returns "", the blob is served. It may be called concurrently.
	Rewrite func(ctx context.Context, url string) (string, error)
}

func (o *RedirectOptions) check() error {
	if o != nil && (o.MinSize < 0 || o.Expiry < 0) {
		return errors.New("storage: an option of Redirect is negative")
	}
	return nil
}

// signedURL is a URL that has been told.
type signedURL struct {
	url   string
	until time.Time // it may be told again
}

// redirect returns a URL at which the bytes of a blob can be fetched, "" if there is none. A blob
// of several data objects has none, nor one whose last bytes are in its link. Where the storage
// cannot sign, or fails to, the blob is served.
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
