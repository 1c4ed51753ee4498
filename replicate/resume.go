package replicate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// Resume keeps the IDs of uploads in progress. Its methods are safe for concurrent use. The IDs are
// secrets: anyone who has one can continue the upload. One Resume is for one destination.
type Resume interface {
	// Load returns the ID of the upload of a blob to a repository, or "".
	Load(repo string, d digest.Digest) (id string, err error)
	// Save keeps the ID; an empty one removes it.
	Save(repo string, d digest.Digest, id string) error
}

// FileResume returns a Resume that keeps each upload in a small file of a directory. Save creates the
// directory and the files with the modes 0700 and 0600, and replaces a file atomically. A file that
// cannot be understood counts as missing.
//
// A copy continues the uploads of an earlier process only if the destination does: the client of a
// remote registry needs the same client.Options.UploadKey. Two copies at a time must not share a
// directory.
func FileResume(dir string) Resume { return fileResume(dir) }

type fileResume string

// resumeRecord is the content of a file.
type resumeRecord struct {
	Repository string        `json:"repository"`
	Digest     digest.Digest `json:"digest"`
	Upload     string        `json:"upload"`
}

// maxResumeFile is the maximum size of a file, in bytes.
const maxResumeFile = 64 << 10

// path returns the file for a blob. Its name is a hash, so no name of a repository can lead elsewhere.
func (r fileResume) path(repo string, d digest.Digest) string {
	sum := sha256.Sum256([]byte(repo + "\n" + string(d)))
	return filepath.Join(string(r), "upload-"+hex.EncodeToString(sum[:]))
}

// Load implements [Resume].
func (r fileResume) Load(repo string, d digest.Digest) (string, error) {
	f, err := os.Open(r.path(repo, d))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("replicate: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxResumeFile))
	if err != nil {
		return "", fmt.Errorf("replicate: %w", err)
	}
	var rec resumeRecord
	if json.Unmarshal(b, &rec) != nil || rec.Repository != repo || rec.Digest != d {
		return "", nil
	}
	return rec.Upload, nil
}

// Save implements [Resume].
func (r fileResume) Save(repo string, d digest.Digest, id string) error {
	name := r.path(repo, d)
	if id == "" {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replicate: %w", err)
		}
		return nil
	}
	b, err := json.Marshal(resumeRecord{Repository: repo, Digest: d, Upload: id})
	if err == nil {
		err = os.MkdirAll(string(r), 0o700)
	}
	if err == nil {
		err = replaceFile(name, b)
	}
	if err != nil {
		return fmt.Errorf("replicate: %w", err)
	}
	return nil
}

// replaceFile writes a file under another name, and renames it. The file has the mode 0600.
func replaceFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
