package audit

import (
	"cmp"
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

	last *corev1.ConfigMap // as it was written or read; one goroutine uses it
}

// Head implements [Heads].
func (c *ConfigMap) Head(ctx context.Context) (Head, error) {
	c.last = nil
	cm, err := c.Client.CoreV1().ConfigMaps(c.Namespace).Get(ctx, HeadName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	h, err := c.parse(cm)
	if err == nil {
		c.last = cm
	}
	return h, err
}

func (c *ConfigMap) parse(cm *corev1.ConfigMap) (Head, error) {
	if cm == nil {
		return Head{}, nil
	}
	seq, err := strconv.ParseInt(cm.Data["seq"], 10, 64)
	if err != nil || seq < 1 || len(cm.Data["hash"]) != 64 {
		return Head{}, fmt.Errorf("ConfigMap %s/%s holds no head of an audit log: put back what it was, or delete it together with the log to begin a new chain", c.Namespace, HeadName)
	}
	return Head{seq, cm.Data["hash"]}, nil
}

// Move implements [Heads]: one request, since what was written last is known.
func (c *ConfigMap) Move(ctx context.Context, old, next Head) error {
	if now, err := c.parse(c.last); err != nil || now != old {
		if now, err = c.Head(ctx); err != nil || now != old {
			return cmp.Or(err, error(&OtherWriterError{now}))
		}
	}
	data := map[string]string{"seq": strconv.FormatInt(next.Seq, 10), "hash": next.Hash}
	maps := c.Client.CoreV1().ConfigMaps(c.Namespace)
	var written *corev1.ConfigMap
	var err error
	if c.last == nil {
		written, err = maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: HeadName}, Data: data}, metav1.CreateOptions{})
	} else {
		cm := c.last.DeepCopy()
		cm.Data = data
		written, err = maps.Update(ctx, cm, metav1.UpdateOptions{}) // with the resourceVersion that was seen
	}
	if err == nil {
		c.last = written
		return nil
	}
	c.last = nil
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		if now, err := c.Head(ctx); err == nil && now != old {
			return &OtherWriterError{now}
		}
	}
	return err
}
