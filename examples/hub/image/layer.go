package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/examples/hub/config"
)

// file is a file or, if its name ends with a slash, a directory of a layer.
type file struct {
	name    string
	mode    int64
	owner   int // user and group
	content []byte
	path    string // of the content, instead of content
}

// base returns the files beside the program: a directory for the storage, which belongs to the user of the hub, the
// configuration with the defaults, and the certificates of public authorities.
func (b *builder) base() []file {
	files := []file{
		{name: "data/", mode: 0o750, owner: user},
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, content: []byte("hub:x:65532:\n")},
		{name: "etc/hub/", mode: 0o755},
		{name: "etc/hub/hub.yaml", mode: 0o644, content: config.Shipped},
		{name: "etc/passwd", mode: 0o644, content: []byte("hub:x:65532:65532:hub:/data:/sbin/nologin\n")},
	}
	if b.ca != nil {
		files = append(files, file{name: "etc/ssl/", mode: 0o755}, file{name: "etc/ssl/certs/", mode: 0o755},
			file{name: strings.TrimPrefix(systemCA, "/"), mode: 0o644, content: b.ca})
	}
	return append(files, file{name: "tmp/", mode: 0o1777}) // for uploads that do not fit into memory
}

// layer writes files as a layer, and returns its descriptor and the digest of its content without compression.
func (b *builder) layer(ctx context.Context, to registry.Writer, repo string, files []file) (blob ocispec.Descriptor,
	diff digest.Digest, err error) {
	packed, err := os.CreateTemp(b.dir, "layer-")
	if err != nil {
		return blob, "", err
	}
	defer func() { err = errors.Join(err, packed.Close()) }()
	compressed, plain := digest.Canonical.Digester(), digest.Canonical.Digester()
	zip := gzip.NewWriter(io.MultiWriter(packed, compressed.Hash())) // without a name and a time
	archive := tar.NewWriter(io.MultiWriter(zip, plain.Hash()))
	for _, f := range files {
		if err := f.write(archive, b.created); err != nil {
			return blob, "", err
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return blob, "", err
	}
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return blob, "", err
	}
	blob, err = registry.PushBlob(ctx, to, repo, compressed.Digest(), packed)
	blob.MediaType = ocispec.MediaTypeImageLayerGzip
	return blob, plain.Digest(), err
}

// write writes a file into an archive.
func (f *file) write(to *tar.Writer, at time.Time) error {
	from, size := io.Reader(bytes.NewReader(f.content)), int64(len(f.content))
	if f.path != "" {
		opened, err := os.Open(f.path)
		if err != nil {
			return err
		}
		defer opened.Close()
		info, err := opened.Stat()
		if err != nil {
			return err
		}
		from, size = opened, info.Size()
	}
	kind := byte(tar.TypeReg)
	if strings.HasSuffix(f.name, "/") {
		kind = tar.TypeDir
	}
	err := to.WriteHeader(&tar.Header{Typeflag: kind, Name: f.name, Mode: f.mode, Uid: f.owner, Gid: f.owner, Size: size,
		ModTime: at, Format: tar.FormatUSTAR})
	if err == nil {
		_, err = io.Copy(to, from)
	}
	return err
}
