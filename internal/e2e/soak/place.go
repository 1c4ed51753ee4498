package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	gocloudS3 "github.com/registrykit/registry/storage/gocloud/s3"
)

// place is the storage that the servers share. This process uses it like another replica, for
// operations without an HTTP request and to compare the content at the end.
type place struct {
	options harness.Options
	driver  driver.Driver
	bucket  *blob.Bucket
	dir     string
}

// memory is a folder that Linux keeps in memory.
const memory = "/dev/shm"

func openPlace(ctx context.Context, c config) (_ *place, err error) {
	parent := c.dir
	switch c.storage {
	case "tmpfs":
		parent = memory
	case "disk", "s3":
	default:
		return nil, fmt.Errorf("unknown storage %q", c.storage)
	}
	p := &place{}
	if p.dir, err = os.MkdirTemp(parent, "soak-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	p.options = harness.Options{Kind: harness.Ours, Storage: filepath.Join(p.dir, "data"),
		Log: filepath.Join(p.dir, "log")}
	if c.storage != "s3" {
		p.driver, err = disk.New(p.options.Storage, nil)
		return p, err
	}
	if p.options.Bucket, err = harness.StartMinIO(p.dir); err != nil {
		return nil, err
	}
	if p.bucket, err = s3blob.OpenBucket(ctx, p.options.Bucket.Client(""), p.options.Bucket.Bucket, nil); err != nil {
		return nil, err
	}
	p.driver, err = gocloud.New(ctx, p.bucket, &gocloud.Options{Providers: []gocloud.Provider{gocloudS3.Provider(nil)}})
	return p, err
}

// store returns a Store on the place. A grace of 0 means no grace period.
func (p *place) store(ctx context.Context, grace, uploadTTL time.Duration) (*storage.Store, error) {
	if grace == 0 {
		grace = -1
	}
	return storage.New(ctx, p.driver, &storage.Options{Grace: grace, UploadTTL: uploadTTL})
}

// raw counts all files of a directory or all objects of a bucket, and adds up their bytes.
func (p *place) raw(ctx context.Context) (objects int, bytes int64, err error) {
	if p.options.Bucket != nil {
		pages := s3.NewListObjectsV2Paginator(p.options.Bucket.Client(""),
			&s3.ListObjectsV2Input{Bucket: &p.options.Bucket.Bucket})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return 0, 0, err
			}
			for _, o := range page.Contents {
				objects, bytes = objects+1, bytes+*o.Size
			}
		}
		return objects, bytes, nil
	}
	err = filepath.WalkDir(filepath.Join(p.options.Storage, "objects"), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since the directory was read
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			objects, bytes = objects+1, bytes+info.Size()
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	return objects, bytes, err
}

// close stops the storage server and removes the contents.
func (p *place) close() error {
	var errs []error
	if p.bucket != nil {
		errs = append(errs, p.bucket.Close())
	}
	if p.options.Bucket != nil {
		errs = append(errs, p.options.Bucket.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(p.dir))...)
}
