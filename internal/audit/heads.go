package audit

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// HeadName is the name of the ConfigMap with the head.
const HeadName = "abide-audit-head"

// ConfigMap keeps the head in the ConfigMap [HeadName] of a namespace.
type ConfigMap struct {
	Client    kubernetes.Interface
	Namespace string
}

// Head implements [Heads].
func (c ConfigMap) Head(ctx context.Context) (Head, error) {
	h, _, err := c.read(ctx)
	return h, err
}

func (c ConfigMap) read(ctx context.Context) (Head, *corev1.ConfigMap, error) {
	cm, err := c.Client.CoreV1().ConfigMaps(c.Namespace).Get(ctx, HeadName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Head{}, nil, nil
	}
	if err != nil {
		return Head{}, nil, err
	}
	seq, err := strconv.ParseInt(cm.Data["seq"], 10, 64)
	if err != nil || seq < 1 || len(cm.Data["hash"]) != 64 {
		return Head{}, nil, fmt.Errorf("ConfigMap %s/%s holds no head of an audit log: put back what it was, or delete it together with the log to begin a new chain", c.Namespace, HeadName)
	}
	return Head{seq, cm.Data["hash"]}, cm, nil
}

// Move implements [Heads].
func (c ConfigMap) Move(ctx context.Context, old, next Head) error {
	now, cm, err := c.read(ctx)
	if err != nil {
		return err
	}
	if now != old {
		return &OtherWriterError{now}
	}
	data := map[string]string{"seq": strconv.FormatInt(next.Seq, 10), "hash": next.Hash}
	maps := c.Client.CoreV1().ConfigMaps(c.Namespace)
	if cm == nil {
		_, err = maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: HeadName}, Data: data}, metav1.CreateOptions{})
	} else {
		cm.Data = data
		_, err = maps.Update(ctx, cm, metav1.UpdateOptions{}) // with the resourceVersion that was read
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		if now, _, err := c.read(ctx); err == nil {
			return &OtherWriterError{now}
		}
	}
	return err
}
