package sandboxtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

var shared struct {
	sync.Mutex
	opts    []Option
	running bool // RunMain is there to stop it
	dir     string
	sandbox *Sandbox
	err     error
}

// RunMain runs a package's tests and then stops the sandbox of Shared. Its
// result is for os.Exit.
func RunMain(m *testing.M, opts ...Option) int {
	shared.Lock()
	shared.opts, shared.running = opts, true
	shared.Unlock()
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.sandbox != nil {
			shared.sandbox.Stop()
		}
		if shared.dir != "" {
			os.RemoveAll(shared.dir)
		}
	}()
	return m.Run()
}

// Shared is the sandbox of the package's tests, started by the first of them
// that asks. The package's TestMain must call RunMain.
func Shared(t testing.TB) *Sandbox {
	t.Helper()
	bin := Binary(t)
	shared.Lock()
	defer shared.Unlock()
	if !shared.running {
		t.Fatal("sandboxtest.Shared needs `func TestMain(m *testing.M) { os.Exit(sandboxtest.RunMain(m)) }`")
	}
	if shared.sandbox == nil && shared.err == nil {
		shared.sandbox, shared.err = startShared(bin)
	}
	if shared.err != nil {
		t.Fatalf("start %s: %v", bin, shared.err)
	}
	return shared.sandbox
}

func startShared(bin string) (*Sandbox, error) {
	o := options{nodes: 1}
	for _, opt := range shared.opts {
		opt(&o)
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "sandboxtest-")
		if err != nil {
			return nil, err
		}
		shared.dir, o.dir = dir, dir
	}
	return start(bin, o)
}

// Namespace creates a namespace for the test and deletes it at the test's end.
func (s *Sandbox) Namespace(t testing.TB) string {
	t.Helper()
	cs, err := kubernetes.NewForConfig(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix(t.Name())}}
	ns, err = cs.CoreV1().Namespaces().Create(context.Background(), ns, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("namespace: %v", err)
	}
	t.Cleanup(func() {
		err := cs.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{})
		if err != nil {
			t.Logf("namespace %s stays: %v", ns.Name, err)
		}
	})
	return ns.Name
}

// prefix makes the beginning of a DNS label of a test's name.
func prefix(test string) string {
	label := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, test)
	return fmt.Sprintf("t-%s-", strings.Trim(label[:min(len(label), 40)], "-"))
}
