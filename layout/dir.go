package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// dir is the pool of a directory.
type dir struct{ root *os.Root }

// openDir opens a directory that has a layout.
func openDir(path string) (*dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &dir{root: root}
	if err := d.checkVersion(); err != nil {
		_ = root.Close()
		return nil, err
	}
	return d, nil
}

// checkVersion reads the file oci-layout.
func (d *dir) checkVersion() error {
	f, _, err := d.openFile(layoutFile)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it is no OCI image layout: the file oci-layout is missing")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	content, err := readLimited(f, maxSmallFile)
	if err != nil {
		return fmt.Errorf("%s: %w", layoutFile, err)
	}
	return checkVersion(content)
}

// checkVersion checks the content of the file oci-layout.
func checkVersion(content []byte) error {
	var version ocispec.ImageLayout
	if err := json.Unmarshal(content, &version); err != nil {
		return fmt.Errorf("%s: %w", layoutFile, err)
	}
	if !strings.HasPrefix(version.Version, "1.") {
		return fmt.Errorf("%s: unknown version %.20q", layoutFile, version.Version)
	}
	return nil
}

// openFile opens a regular file. It opens nothing else, because opening a device or pipe has
// effects, and follows no link.
func (d *dir) openFile(name string) (*os.File, fs.FileInfo, error) {
	info, err := d.lstat(name)
	if err != nil {
		return nil, nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(info, now) {
		err = fmt.Errorf("%s has changed while it was opened", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, now, nil
}

// lstat returns the attributes of a regular file.
func (d *dir) lstat(name string) (fs.FileInfo, error) {
	info, err := d.root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file, but %s", name, kindOf(info.Mode()))
	}
	return info, err
}

// kindOf describes a file that is no regular file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "a special file"
}

// readLimited reads a file of at most limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return content, err
}

func (d *dir) stat(dg digest.Digest) (int64, error) {
	info, err := d.lstat(blobName(dg))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d *dir) open(dg digest.Digest) (file, error) {
	f, _, err := d.openFile(blobName(dg))
	if err != nil {
		return nil, err
	}
	return f, nil
}

// dirStamp is the stamp of a directory. The file stays open, so that the system cannot give its
// inode to a later version.
type dirStamp struct {
	file *os.File
	info fs.FileInfo
}

func (s *dirStamp) same(other stamp) bool {
	o, ok := other.(*dirStamp)
	return ok && s.is(o.info)
}

func (s *dirStamp) release() { _ = s.file.Close() }

// is reports whether a file is still the version of the stamp.
func (s *dirStamp) is(info fs.FileInfo) bool {
	return os.SameFile(s.info, info) && s.info.Size() == info.Size() && s.info.ModTime().Equal(info.ModTime())
}

func (d *dir) load(last stamp, limit int64) ([]byte, stamp, error) {
	old, _ := last.(*dirStamp)
	if old != nil {
		info, err := d.lstat(indexFile)
		if err != nil {
			return nil, nil, err
		}
		if old.is(info) {
			return nil, old, nil
		}
	}
	f, info, err := d.openFile(indexFile)
	if err != nil {
		return nil, nil, err
	}
	content, err := readLimited(f, limit)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	if old != nil {
		_ = old.file.Close()
	}
	return content, &dirStamp{f, info}, nil
}

func (d *dir) close() error { return d.root.Close() }

// rename gives a file its final name, and makes the name durable if sync is set.
func (d *dir) rename(from, to string, sync bool) error {
	if err := d.root.Rename(from, to); err != nil || !sync {
		return err
	}
	return d.syncDir(path.Dir(to))
}

// syncDir makes the names in a directory durable.
func (d *dir) syncDir(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
