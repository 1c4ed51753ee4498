package layout

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
)

// region is where the content of a file is in an archive.
type region struct{ at, size int64 }

// archive is the pool of a tar archive, which is read in place.
type archive struct {
	r     io.ReaderAt
	done  func() error
	files map[string]region
	links map[string]string // symbolic links and the names that they lead to

	// For archives of "docker save" without an OCI layout:
	blobs map[digest.Digest]region
	made  map[digest.Digest][]byte // manifests
	index []byte
}

// openArchive opens an archive.
func openArchive(path string, o *Options) (*archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if f, err = unpacked(f, o); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var a *archive
		if a, err = newArchive(f, info.Size(), o); err == nil {
			a.done = f.Close
			return a, nil
		}
	}
	_ = f.Close()
	return nil, err
}

// newArchive indexes an archive of size bytes.
func newArchive(r io.ReaderAt, size int64, o *Options) (*archive, error) {
	a := &archive{r: r, done: func() error { return nil }, files: map[string]region{}, links: map[string]string{}}
	if err := a.scan(size, o.MaxFiles); err != nil {
		return nil, err
	}
	if version, ok := a.files[layoutFile]; ok {
		for name := range a.links {
			return nil, fmt.Errorf("%q is a symbolic link", name)
		}
		content, err := a.read(version, maxSmallFile)
		if err == nil {
			err = checkVersion(content)
		}
		if err == nil && !a.has(indexFile) {
			err = errors.New("the archive has no index.json")
		}
		return a, err
	}
	if !a.has(dockerFile) {
		if a.has("repositories") {
			return nil, errors.New("the archive has the format of Docker before 1.10, which is not supported: " +
				"load it and save it again")
		}
		return nil, errors.New("it is neither an OCI image layout nor an archive of docker save: " +
			"it has no file oci-layout or manifest.json")
	}
	if err := a.convert(size, o); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *archive) has(name string) bool {
	_, ok := a.files[name]
	return ok
}

// scan records where the files are. limit is the maximum number of entries.
func (a *archive) scan(size int64, limit int) error {
	in := &positioned{r: a.r, size: size}
	r := tar.NewReader(in)
	dirs := map[string]bool{}
	end := int64(0) // of the last entry
	for n := 0; ; n++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return a.checkEnd(end)
		}
		if err != nil {
			return fmt.Errorf("the archive is damaged at about byte %d: %w", in.at, err)
		}
		if n == limit {
			return fmt.Errorf("the archive has more than %d files", limit)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := a.add(h, in.at, size, dirs); err != nil {
			return err
		}
		end = in.at
		if h.Typeflag == tar.TypeReg {
			end += (h.Size + blockSize - 1) / blockSize * blockSize
		}
	}
}

// blockSize is the unit of tar archives, in bytes.
const blockSize = 512

// checkEnd requires the block of zeros that ends an archive.
func (a *archive) checkEnd(at int64) error {
	block := make([]byte, blockSize)
	n, err := a.r.ReadAt(block, at)
	if n < blockSize {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("the archive is cut off: it has no end")
		}
		return err
	}
	return nil // the tar.Reader has seen the zeros
}

// add records one entry, whose content begins at a position.
func (a *archive) add(h *tar.Header, at, size int64, dirs map[string]bool) error {
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		if _, ok := a.files[name]; ok {
			return fmt.Errorf("the archive has %q twice", name)
		}
		dirs[name] = true
		return nil
	}
	if name == "." {
		return fmt.Errorf("the archive has a file %q", h.Name)
	}
	_, isFile := a.files[name]
	_, isLink := a.links[name]
	if isFile || isLink || dirs[name] {
		return fmt.Errorf("the archive has %q twice", name)
	}
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeSymlink:
		return a.addLink(name, h.Linkname)
	case tar.TypeLink:
		return fmt.Errorf("%q is a hard link", name)
	case tar.TypeGNUSparse:
		return fmt.Errorf("%q is a sparse file", name)
	default:
		return fmt.Errorf("%q is no regular file (type %q)", name, h.Typeflag)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("%q is a sparse file", name)
		}
	}
	if h.Size > size-at {
		return fmt.Errorf("the archive is cut off within %q", name)
	}
	a.files[name] = region{at, h.Size}
	return nil
}

// addLink records a symbolic link. It is a link within the archive, or an error.
func (a *archive) addLink(name, to string) error {
	target := path.Join(path.Dir(name), to)
	if path.IsAbs(to) || !fs.ValidPath(target) {
		return fmt.Errorf("%q is a symbolic link that leaves the archive", name)
	}
	a.links[name] = target
	return nil
}

// cleanName returns the name of an entry without "./" at its beginning and "/" at its end.
func cleanName(s string) (string, error) {
	name := s
	for strings.HasPrefix(name, "./") {
		name = name[2:]
	}
	if name = strings.TrimSuffix(name, "/"); name == "" && s != "" && s[0] == '.' {
		name = "."
	}
	if !fs.ValidPath(name) {
		return "", fmt.Errorf("the archive has a file with the name %.100q, which is absolute, has \"..\" or is invalid", s)
	}
	return name, nil
}

// file returns the region of a file, or of the file that a symbolic link leads to in one step.
func (a *archive) file(name string) (region, error) {
	name, err := cleanName(name)
	if err != nil {
		return region{}, err
	}
	if target, ok := a.links[name]; ok {
		name = target
	}
	if r, ok := a.files[name]; ok {
		return r, nil
	}
	return region{}, fmt.Errorf("the archive has no file %.200q", name)
}

// read returns the content of a region of at most limit bytes.
func (a *archive) read(at region, limit int64) ([]byte, error) {
	if at.size > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return io.ReadAll(io.NewSectionReader(a.r, at.at, at.size))
}

// find returns the region of a blob.
func (a *archive) find(d digest.Digest) (region, bool) {
	if a.blobs == nil {
		r, ok := a.files[blobName(d)]
		return r, ok
	}
	r, ok := a.blobs[d]
	return r, ok
}

func (a *archive) stat(d digest.Digest) (int64, error) {
	if content, ok := a.made[d]; ok {
		return int64(len(content)), nil
	}
	if r, ok := a.find(d); ok {
		return r.size, nil
	}
	return 0, fs.ErrNotExist
}

func (a *archive) open(d digest.Digest) (file, error) {
	if content, ok := a.made[d]; ok {
		return section{strings.NewReader(string(content))}, nil
	}
	if r, ok := a.find(d); ok {
		return section{io.NewSectionReader(a.r, r.at, r.size)}, nil
	}
	return nil, fs.ErrNotExist
}

// section is a file that need not be closed.
type section struct{ io.ReaderAt }

// Close implements [io.Closer].
func (section) Close() error { return nil }

// fixed is the stamp of index.json in an archive.
type fixed struct{}

func (fixed) same(other stamp) bool { return other == stamp(fixed{}) }

func (fixed) release() {}

func (a *archive) load(last stamp, limit int64) ([]byte, stamp, error) {
	if last != nil {
		return nil, fixed{}, nil
	}
	if a.index != nil {
		return a.index, fixed{}, nil
	}
	content, err := a.read(a.files[indexFile], limit)
	return content, fixed{}, err
}

func (a *archive) close() error { return a.done() }

// positioned reads an archive, and can seek, so that a tar.Reader skips the content. It reads
// ahead, because most reads are of a header that follows a small file.
type positioned struct {
	r        io.ReaderAt
	at, size int64
	ahead    []byte
	aheadAt  int64
	buffer   [16 << 10]byte
}

// Read implements [io.Reader].
func (p *positioned) Read(b []byte) (int, error) {
	if p.at >= p.size {
		return 0, io.EOF
	}
	skip := p.at - p.aheadAt
	if skip < 0 || skip >= int64(len(p.ahead)) {
		n, err := p.r.ReadAt(p.buffer[:min(int64(len(p.buffer)), p.size-p.at)], p.at)
		if n == 0 {
			return 0, err
		}
		p.ahead, p.aheadAt, skip = p.buffer[:n], p.at, 0
	}
	n := copy(b, p.ahead[skip:])
	p.at += int64(n)
	return n, nil
}

// Seek implements [io.Seeker].
func (p *positioned) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += p.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	p.at = offset
	return offset, nil
}
