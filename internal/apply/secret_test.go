package apply

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"abide.dev/abide/internal/object"
)

// A server's refusal of a Secret quotes what it refuses.
func TestErrorOfSecretHidesValues(t *testing.T) {
	const value = "hunter2"
	secret := object.Key{Kind: "Secret", Namespace: "web", Name: "login"}
	other := object.Key{Kind: "ConfigMap", Namespace: "web", Name: "login"}
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "login",
		field.ErrorList{field.Invalid(field.NewPath("data").Key("password"), value, "is no base64")})
	typed := apierrors.NewInternalError(&quoting{value})
	bad := apierrors.NewBadRequest("cannot handle " + value)

	for name, err := range map[string]error{"invalid": invalid, "internal": typed, "bad request": bad} {
		if msg := (&ObjectError{Key: secret, Err: err}).Error(); strings.Contains(msg, value) {
			t.Errorf("%s: the message holds the value: %s", name, msg)
		}
		if msg := (&ObjectError{Key: other, Err: err}).Error(); !strings.Contains(msg, value) {
			t.Errorf("%s: the message of another kind lacks what the server said: %s", name, msg)
		}
	}
	if msg := (&ObjectError{Key: secret, Err: invalid}).Error(); !strings.Contains(msg, "data[password]") {
		t.Errorf("the message does not name the field: %s", msg)
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "login", &quoting{"not you"})
	if msg := (&ObjectError{Key: secret, Err: forbidden}).Error(); !strings.Contains(msg, "not you") {
		t.Errorf("a refusal that can't hold a value is not shown: %s", msg)
	}
}

type quoting struct{ what string }

func (q *quoting) Error() string { return "expected string, got " + q.what }
