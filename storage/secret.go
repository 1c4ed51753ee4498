package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// SharedSecret returns the secret with a name: 32 random bytes that all Stores on the storage
// share. The first call creates the secret. Replicas derive their keys from it, so that no key has
// to be configured. Anyone who can read the storage can read the secret.
//
// name must have 1 to 64 of the characters a-z, 0-9 and "-", and must not be "upload". Each call
// reads the storage.
//
// Errors: an error if name is invalid; any error of the driver.
func (s *Store) SharedSecret(ctx context.Context, name string) ([]byte, error) {
	key, err := secretKey(name)
	if err != nil {
		return nil, err
	}
	return s.sharedSecret(ctx, key)
}

// RemoveSharedSecret removes the secret with a name, so that the next SharedSecret creates another
// one. A missing secret is not an error.
//
// Errors: as SharedSecret.
func (s *Store) RemoveSharedSecret(ctx context.Context, name string) error {
	key, err := secretKey(name)
	if err != nil {
		return err
	}
	if err := s.objects.Driver.Delete(ctx, key, ""); err != nil && !errors.Is(err, driver.ErrNotExist) {
		return object.RegistryError(err)
	}
	return object.RegistryError(s.objects.Driver.Sync(ctx, key))
}

// secretKey returns the key of the secret with a name. It rejects the name of the secret that signs
// the IDs of uploads, which only this package may use.
func secretKey(name string) (string, error) {
	key := object.SecretPrefix + name
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
		key == object.UploadSecretKey {
		return "", fmt.Errorf("storage: %q is not a valid name of a secret", name)
	}
	return key, nil
}

// sharedSecret returns the secret at a key, and creates it if it is missing.
func (s *Store) sharedSecret(ctx context.Context, key string) ([]byte, error) {
	b, err := s.objects.ReadOrCreate(ctx, key, func() ([]byte, error) {
		secret := make([]byte, 32)
		rand.Read(secret)
		return secret, nil
	})
	if err == nil && len(b) < 32 {
		err = fmt.Errorf("storage: the object %q is truncated", key)
	}
	return b, err
}
