package release

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// KeySecret is the name of the Secret with the key of names and hashes.
	KeySecret = "abide-release-key"
	keyField  = "key"
	keySize   = 32
)

// Secret returns a function that stands in for values of Secrets: a short hash
// under the key of this cluster, which is made if there is none. Equal values
// have equal hashes, in every release.
func (s *Store) Secret(ctx context.Context) (func(value string) string, error) {
	key, err := s.haveKey(ctx)
	if err != nil {
		return nil, err
	}
	return func(value string) string {
		m := hmac.New(sha256.New, key)
		m.Write([]byte("value\x00" + value))
		return "<secret " + hex.EncodeToString(m.Sum(nil)[:6]) + ">"
	}, nil
}

// haveKey returns the key, and makes it if there is none.
func (s *Store) haveKey(ctx context.Context) ([]byte, error) {
	key, err := s.readKey(ctx)
	if !apierrors.IsNotFound(err) {
		return key, err
	}
	key = make([]byte, keySize)
	if _, err := io.ReadFull(s.random, key); err != nil {
		return nil, fmt.Errorf("reading randomness: %w", err)
	}
	err = s.client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: KeySecret},
		Data:       map[string][]byte{keyField: key},
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("creating the key of releases, Secret %s/%s: %w", s.namespace, KeySecret, err)
	}
	// What is stored counts, also if another one was faster.
	return s.readKey(ctx)
}

// readKey reads the key, once; the error is that of the API if it is not there.
func (s *Store) readKey(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	key := s.key
	s.mu.Unlock()
	if key != nil {
		return key, nil
	}
	var secret corev1.Secret
	if err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: KeySecret}, &secret); err != nil {
		return nil, fmt.Errorf("reading the key of releases, Secret %s/%s: %w", s.namespace, KeySecret, err)
	}
	key = secret.Data[keyField]
	if len(key) != keySize {
		return nil, &KeyError{Secret: s.namespace + "/" + KeySecret, Why: fmt.Sprintf("has no key of %d bytes under %q", keySize, keyField)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
	return key, nil
}
