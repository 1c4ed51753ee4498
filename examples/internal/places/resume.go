package places

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/registrykit/registry/replicate"
)

// Resume returns the state of the uploads to a destination, or nil without Options.Resume.
func (p *Places) Resume(dst Place) replicate.Resume {
	if p.opts.Resume == "" {
		return nil
	}
	return replicate.FileResume(stateDir(p.opts.Resume, dst.Base))
}

// stateDir returns the directory for the uploads to one destination.
func stateDir(dir, base string) string {
	sum := sha256.Sum256([]byte(base))
	return filepath.Join(dir, hex.EncodeToString(sum[:8]))
}

// uploadKey returns the key for the IDs of uploads, which it makes when it is first needed.
func uploadKey(dir string) ([]byte, error) {
	name := filepath.Join(dir, "key")
	key, err := os.ReadFile(name)
	if err == nil && len(key) == 32 {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key = make([]byte, 32)
	rand.Read(key)
	return key, os.WriteFile(name, key, 0o600)
}
