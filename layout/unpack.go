package layout

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

// compressions are the first bytes of compressed files.
var compressions = []struct {
	name  string
	magic []byte
}{
	{"gzip", []byte{0x1f, 0x8b}},
	{"zstd", []byte{0x28, 0xb5, 0x2f, 0xfd}},
	{"xz", []byte{0xfd, '7', 'z', 'X', 'Z', 0}},
	{"bzip2", []byte("BZh")},
}

// compression returns the compression that a file begins with, or "".
func compression(r io.ReaderAt) string {
	head := make([]byte, 6)
	n, _ := r.ReadAt(head, 0) // a later read has the error, too
	for _, c := range compressions {
		if bytes.HasPrefix(head[:n], c.magic) {
			return c.name
		}
	}
	return ""
}

// unpacked returns f, or a temporary file with what f has compressed, in which case it closes f.
func unpacked(f *os.File, o *Options) (*os.File, error) {
	kind := compression(f)
	if kind == "" {
		return f, nil
	}
	defer f.Close()
	if kind != "gzip" {
		return nil, fmt.Errorf("the archive is compressed with %s: unpack it first", kind)
	}
	temp, err := os.CreateTemp(o.TempDir, "layout-*.tar")
	if err != nil {
		return nil, err
	}
	// The file has no name while it is in use, so that it does not outlive the process. A system on
	// which that fails keeps it.
	_ = os.Remove(temp.Name())
	if err := gunzip(temp, f, o.MaxUnpacked); err != nil {
		_ = temp.Close()
		return nil, err
	}
	return temp, nil
}

// gunzip writes what r has compressed to w, at most limit bytes.
func gunzip(w io.Writer, r io.Reader, limit int64) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(z, limit))
	if err != nil {
		return fmt.Errorf("unpacking the archive: %w", err)
	}
	if n == limit {
		if m, err := z.Read(make([]byte, 1)); m > 0 || !errors.Is(err, io.EOF) {
			return fmt.Errorf("the archive has more than %d bytes when it is unpacked", limit)
		}
	}
	return nil
}
