package s3

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // it is what ETags are made of
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
)

// tombstone is the content of a tombstone. No object of a registry has the same content.
const tombstone = "registry: this object has been removed\x00\n"

// Probe implements [gocloud.Prober]. It writes, replaces and removes an object whose name begins
// with prefix, and asks for a missing object.
func (s *store) Probe(ctx context.Context, prefix string) (err error) {
	name := prefix + "=probe=" + strings.ToLower(rand.Text()) // no key has a name like this
	defer func() {
		if derr := s.Delete(context.WithoutCancel(ctx), name, ""); err == nil {
			err = derr
		}
	}()
	put := func(content string, opts gocloud.PutOptions) (string, error) {
		w, err := s.Put(ctx, name, strings.NewReader(content), &opts)
		return w.Version, err
	}
	first, err := put("probe", gocloud.PutOptions{IfAbsent: true})
	if err != nil {
		return fmt.Errorf("s3: writing to the bucket: %w", err)
	}
	if _, err := put("again", gocloud.PutOptions{IfAbsent: true}); !s.refused(err) {
		return unsupported("a PUT with If-None-Match", err)
	}
	second, err := put(tombstone, gocloud.PutOptions{IfVersion: first})
	if err != nil {
		return unsupported("a PUT with If-Match", err)
	}
	if _, err := put("third", gocloud.PutOptions{IfVersion: first}); !s.refused(err) {
		return unsupported("a PUT with If-Match", err)
	}
	if s.putsTombstones, err = s.lacksConditionalDelete(ctx, name, first, second); err != nil {
		return fmt.Errorf("s3: deleting from the bucket: %w", err)
	}
	_, herr := s.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &s.bucket, Key: aws.String(name + "=none")})
	if status(herr) != http.StatusNotFound {
		return fmt.Errorf("s3: asking for an object that is not there, which needs s3:ListBucket: %w",
			cmp.Or(herr, errNotFromStore))
	}
	s.sendsRequestID = !lacksRequestID(herr)
	if sum := md5.Sum([]byte(tombstone)); s.putsTombstones &&
		second == `"`+hex.EncodeToString(sum[:])+`"` { //nolint:gosec // see above
		s.tombstoneVersion = second
	}
	return nil
}

// lacksConditionalDelete reports whether the store fails to honour If-Match of a DELETE. Such a
// DELETE must remove the object with that version, and fail if the object has another version or is
// missing. Two callers that remove the same object must not both succeed.
func (s *store) lacksConditionalDelete(ctx context.Context, name, other, version string) (bool, error) {
	for _, step := range []struct {
		version string
		refused bool
	}{{other, true}, {version, false}, {version, true}} {
		err := s.Delete(ctx, name, step.version)
		if known := s.Failure(err); errors.Is(known, driver.ErrChanged) || errors.Is(known, driver.ErrNotExist) {
			if !step.refused {
				return true, nil
			}
			continue
		}
		if err != nil {
			return false, err
		}
		if step.refused {
			return true, nil
		}
	}
	return false, nil
}

func (s *store) refused(err error) bool { return errors.Is(s.Failure(err), driver.ErrChanged) }

// unsupported returns the error for a bucket that is rejected, because the store failed a request
// or ignored its condition.
func unsupported(what string, err error) error {
	if err != nil {
		return fmt.Errorf("s3: %s: %w", what, err)
	}
	return fmt.Errorf("s3: the store does not honour %s: %w", what, errors.ErrUnsupported)
}

// Tombstone implements [gocloud.Tombstoner].
func (s *store) Tombstone() (content, version string, ok bool) {
	return tombstone, s.tombstoneVersion, s.putsTombstones
}
