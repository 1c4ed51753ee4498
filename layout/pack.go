package layout

import (
	"archive/tar"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
)

// packer makes an archive of a directory.
type packer struct {
	parent  *os.Root // the directory of the archive
	target  string
	replace bool
	spool   string   // the directory that Close packs
	held    *os.File // spool, locked, so that no other process removes it
}

// createArchive creates the directory that becomes an archive.
func (l *Layout) createArchive(target string) error {
	parent, err := os.OpenRoot(filepath.Dir(target))
	if err != nil {
		return err
	}
	p := &packer{parent: parent, target: filepath.Base(target), replace: l.opts.Replace}
	w := &writer{private: true, packer: p, uploads: map[string]*upload{}}
	if err := p.begin(w); err != nil {
		p.remove()
		return err
	}
	l.pool, l.writer, l.index = w.dir, w, newIndex()
	return nil
}

// begin creates the directory, and removes those of processes that have ended.
func (p *packer) begin(w *writer) error {
	if err := p.checkTarget(); err != nil {
		return err
	}
	names, err := fs.Glob(p.parent.FS(), glob(p.target)+".tmp-*")
	if err != nil {
		return err
	}
	for _, name := range names {
		if isRandomName(name, p.target+".tmp-") {
			sweep(p.parent, name)
		}
	}
	p.spool = randomName(p.target + ".tmp-")
	if err := p.parent.Mkdir(p.spool, dirMode); err != nil {
		return err
	}
	if p.held, err = p.parent.Open(p.spool); err != nil {
		return err
	}
	_ = tryLock(p.held) // without a lock, nothing is swept
	root, err := p.parent.OpenRoot(p.spool)
	if err != nil {
		return err
	}
	w.dir = &dir{root: root}
	return w.begin()
}

// glob returns a pattern that matches a name only.
func glob(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// checkTarget refuses to overwrite an archive, unless that is wanted, and anything that is no file.
func (p *packer) checkTarget() error {
	info, err := p.parent.Lstat(p.target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("it is no regular file, but %s", kindOf(info.Mode()))
	case !p.replace:
		return fs.ErrExist
	}
	return nil
}

// remove removes the directory.
func (p *packer) remove() {
	if p.spool != "" {
		_ = p.parent.RemoveAll(p.spool) // the next Create tries again
	}
	if p.held != nil {
		_ = p.held.Close()
	}
	_ = p.parent.Close()
}

// finish makes the archive if complete is set, and removes the directory.
func (p *packer) finish(l *Layout, complete bool) error {
	defer p.remove()
	if !complete {
		return nil
	}
	// The archive is made within the directory, so that what is left of a broken process is one tree.
	temp := p.spool + "/" + p.target
	f, err := p.parent.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err == nil {
		err = p.pack(l, f)
		if err == nil {
			err = f.Sync()
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err == nil {
		err = p.install(temp)
	}
	if err != nil {
		return fmt.Errorf("layout: %s: %w", p.target, full(err))
	}
	return nil
}

// install gives the archive its name. Without Options.Replace, a link fails if there is a file of
// that name, which a rename would replace.
func (p *packer) install(temp string) error {
	if err := p.checkTarget(); err != nil {
		return err
	}
	err := errors.ErrUnsupported
	if !p.replace {
		err = p.parent.Link(temp, p.target)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = p.parent.Rename(temp, p.target) // also for file systems without links
	}
	if err != nil {
		return err
	}
	return (&dir{root: p.parent}).syncDir(".")
}

// pack writes the archive. Each blob is removed from the directory when the archive has it.
func (p *packer) pack(l *Layout, f *os.File) error {
	x := l.index
	slices.SortStableFunc(x.entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.name.repo, b.name.repo), cmp.Compare(a.name.tag, b.name.tag),
			cmp.Compare(a.desc.Digest, b.desc.Digest))
	})
	files := []struct {
		name    string
		content []byte
	}{
		{layoutFile, []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)},
		{indexFile, x.encode()},
	}
	if int64(len(files[1].content)) > l.opts.MaxIndexSize {
		return errIndexFull
	}
	images, err := l.dockerImages()
	if err != nil {
		return err
	}
	if images != nil {
		content, err := json.Marshal(images)
		if err != nil {
			return err
		}
		files = append(files, struct {
			name    string
			content []byte
		}{dockerFile, content})
	}
	for _, file := range files {
		if err := putFile(f, file.name, int64(len(file.content)), strings.NewReader(string(file.content))); err != nil {
			return err
		}
	}
	if err := p.packBlobs(l.writer.dir, f); err != nil {
		return err
	}
	return tar.NewWriter(f).Close() // the end of the archive
}

// packBlobs writes the directories and blobs in the order of their names.
func (p *packer) packBlobs(d *dir, f *os.File) error {
	return fs.WalkDir(d.root.FS(), blobsDir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return putDir(f, name)
		}
		in, info, err := d.openFile(name)
		if err != nil {
			return err
		}
		err = putFile(f, name, info.Size(), in)
		_ = in.Close()
		if err == nil {
			err = d.root.Remove(name)
		}
		return err
	})
}

// putDir writes a directory to an archive.
func putDir(f *os.File, name string) error {
	return tar.NewWriter(f).WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: int64(dirMode)})
}

// putFile writes a file to an archive. Each file has a tar.Writer of its own, so that the content
// goes from file to file within the kernel.
func putFile(f *os.File, name string, size int64, r io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: int64(fileMode)}
	if err := tar.NewWriter(f).WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.CopyN(f, r, size); err != nil {
		return err
	}
	_, err := f.Write(make([]byte, (blockSize-size%blockSize)%blockSize))
	return err
}

// dockerEntry is an element of manifest.json, in the order in which Docker writes the members.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerImages returns manifest.json: the images that have a tag, in the order of their first tags.
func (l *Layout) dockerImages() ([]*dockerEntry, error) {
	var images []*dockerEntry
	byDigest := map[digest.Digest]*dockerEntry{}
	for _, e := range l.index.entries {
		if e.name == (name{}) {
			continue
		}
		d, image, err := l.dockerImage(e.desc)
		if err != nil {
			return nil, err
		}
		if image == nil {
			continue
		}
		if byDigest[d] == nil {
			byDigest[d] = image
			images = append(images, image)
		}
		byDigest[d].RepoTags = append(byDigest[d].RepoTags, e.name.repo+":"+e.name.tag)
	}
	return images, nil
}

// dockerImage returns the image that "docker load" would make of a manifest, or nil. Of an index it
// is the only image that the layout has.
func (l *Layout) dockerImage(desc ocispec.Descriptor) (digest.Digest, *dockerEntry, error) {
	m, err := l.manifest(desc)
	if err != nil {
		return "", nil, err
	}
	parsed, err := manifest.ParseStored(m.Descriptor.MediaType, m.Content)
	if err != nil {
		return "", nil, err
	}
	var only *dockerEntry
	var digestOf digest.Digest
	for _, ref := range parsed.References {
		if ref.Kind != manifest.KindManifest {
			continue
		}
		child, err := l.manifest(ocispec.Descriptor{Digest: ref.Digest, Size: -1})
		if errors.Is(err, registry.ErrManifestUnknown) {
			continue // only some of the platforms were copied
		}
		if err != nil {
			return "", nil, err
		}
		image := l.asDocker(child)
		if image != nil && only != nil {
			return "", nil, nil
		}
		if image != nil {
			only, digestOf = image, ref.Digest
		}
	}
	if only != nil {
		return digestOf, only, nil
	}
	return m.Descriptor.Digest, l.asDocker(m), nil
}

// asDocker returns the image of a manifest, or nil if it is not an image, or the layout lacks some of it.
func (l *Layout) asDocker(m *registry.Manifest) *dockerEntry {
	var image ocispec.Manifest
	if json.Unmarshal(m.Content, &image) != nil {
		return nil
	}
	if t := image.Config.MediaType; t != dockerConfig && t != ocispec.MediaTypeImageConfig {
		return nil
	}
	e := &dockerEntry{Config: blobName(image.Config.Digest), Layers: []string{}}
	if _, err := l.pool.stat(image.Config.Digest); err != nil {
		return nil
	}
	for _, layer := range image.Layers {
		if _, err := l.pool.stat(layer.Digest); err != nil || !strings.Contains(path.Base(layer.MediaType), ".tar") {
			return nil // incomplete, or an attestation
		}
		e.Layers = append(e.Layers, blobName(layer.Digest))
	}
	return e
}
