package release

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// KeySecret is the name of the Secret, in abide's own namespace, with the key
// under which records show values of Secrets. Whoever has it could find out by
// trying whether a value is what he thinks it is.
const KeySecret = "abide-redaction-key"

// Key reads the key under which records show values of Secrets, and makes one if
// there is none.
func Key(ctx context.Context, c client.Client, namespace string) ([]byte, error) {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: KeySecret}}
	err := c.Get(ctx, client.ObjectKeyFromObject(s), s)
	if apierrors.IsNotFound(err) {
		key := make([]byte, 32)
		rand.Read(key) // never fails
		s.Data = map[string][]byte{"key": key}
		s.Immutable = new(true)
		if err = c.Create(ctx, s); apierrors.IsAlreadyExists(err) {
			err = c.Get(ctx, client.ObjectKeyFromObject(s), s)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the key for values of Secrets in records (Secret %s/%s): %w", namespace, KeySecret, err)
	}
	if len(s.Data["key"]) < 16 {
		return nil, fmt.Errorf("Secret %s/%s has no key: delete it, and abide makes a new one", namespace, KeySecret)
	}
	return s.Data["key"], nil
}
