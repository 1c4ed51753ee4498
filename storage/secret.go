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

// SharedSecret returns the secret of a name: 32 random bytes that all Stores on the storage share.
// Whoever asks first creates it. It is what keys of several replicas are made from, so that none
// has to be configured. Who can read the storage can read it.
//
// name has 1 to 64 of the characters a-z, 0-9 and "-", and is not "upload". The storage is asked
// each time.
func (s *Store) SharedSecret(ctx context.Context, name string) ([]byte, error) {
	key, err := secretKey(name)
	if err != nil {
		return nil, err
	}
	return s.sharedSecret(ctx, key)
}

// RemoveSharedSecret removes a secret: the next SharedSecret creates another. That there is none is
// not an error.
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

// secretKey is the key of a secret that somebody outside this package names.
func secretKey(name string) (string, error) {
	key := object.SecretPrefix + name
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
		key == object.UploadSecretKey {
		return "", fmt.Errorf("storage: %q cannot be the name of a secret", name)
	}
	return key, nil
}

// sharedSecret returns a random secret that all Stores on the storage share.
func (s *Store) sharedSecret(ctx context.Context, key string) ([]byte, error) {
	b, err := s.objects.ReadOrCreate(ctx, key, func() ([]byte, error) {
		secret := make([]byte, 32)
		rand.Read(secret)
		return secret, nil
	})
	if err == nil && len(b) < 32 {
		err = fmt.Errorf("storage: the object %q is cut short", key)
	}
	return b, err
}
