package integration

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func TestWhoMayDoWhat(t *testing.T) {
	p, ctx := sandbox(t), t.Context()
	cs := admin(t)
	ns := namespace(t, cs)
	list := func(cfg *rest.Config) error {
		_, err := clientset(t, cfg).CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{})
		return err
	}
	if err := list(config(t, p.kubeconfig())); err != nil {
		t.Errorf("the cluster-admin: %v", err)
	}
	anonymous := rest.AnonymousClientConfig(config(t, p.kubeconfig()))
	if err := list(anonymous); !apierrors.IsUnauthorized(err) {
		t.Errorf("anonymous: got %v, want unauthorized", err)
	}
	stranger := user(t, p.dir, "stranger")
	if err := list(stranger); !apierrors.IsForbidden(err) {
		t.Errorf("a user without a role: got %v, want forbidden", err)
	}

	other := start(t, t.TempDir())
	foreign := config(t, other.kubeconfig())
	foreign.Host, foreign.CAData = anonymous.Host, anonymous.CAData
	if err := list(foreign); !apierrors.IsUnauthorized(err) {
		t.Errorf("another sandbox's cluster-admin: got %v, want unauthorized", err)
	}

	binding := &rbacv1.RoleBinding{ObjectMeta: meta("devs"),
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "devs"}},
	}
	if _, err := cs.RbacV1().RoleBindings(ns).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	dev := user(t, p.dir, "dev:1", "testers", "devs")
	eventually(t, "a group's role", func() error { return list(dev) })
	if err := list(stranger); !apierrors.IsForbidden(err) {
		t.Errorf("a user outside of the group: got %v, want forbidden", err)
	}
}

func TestOnlyLoopback(t *testing.T) {
	host := config(t, sandbox(t).kubeconfig()).Host
	if !strings.HasPrefix(host, "https://127.0.0.1:") {
		t.Errorf("the server is at %s", host)
	}
}

func TestAuditLogHasOneLinePerRequest(t *testing.T) {
	p, ctx := sandbox(t), t.Context()
	cs := clientset(t, user(t, p.dir, "counted"))
	for i := range 5 {
		_, err := cs.CoreV1().Secrets("default").Get(ctx, fmt.Sprintf("s%d", i), metav1.GetOptions{})
		if !apierrors.IsForbidden(err) {
			t.Fatalf("got %v, want forbidden", err)
		}
	}
	f, err := os.Open(filepath.Join(p.dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	users := map[string]bool{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var e struct {
			Level, Stage, Verb string
			User               struct{ Username string }
			ObjectRef          struct{ Resource, Name string }
			RequestObject      any
			ResponseObject     any
			ResponseStatus     struct{ Code int }
			StageTimestamp     string
		}
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatalf("a line that is no JSON: %q", sc.Text())
		}
		if e.Level != "Metadata" || e.RequestObject != nil || e.ResponseObject != nil || e.Stage == "RequestReceived" {
			t.Fatalf("not only metadata, or a stage too many: %s", sc.Text())
		}
		users[e.User.Username] = true
		if e.User.Username == "counted" && e.Stage == "ResponseComplete" && e.Verb == "get" && e.ObjectRef.Resource == "secrets" && e.ResponseStatus.Code == 403 {
			names = append(names, e.ObjectRef.Name)
		}
	}
	if got := strings.Join(names, " "); got != "s0 s1 s2 s3 s4" {
		t.Errorf("logged requests: %q, want s0 to s4 once each", got)
	}
	for _, u := range []string{
		"system:kube-controller-manager", "system:kube-scheduler", "abide-sandbox:kwok",
		"system:serviceaccount:kube-system:root-ca-cert-publisher",
	} {
		if !users[u] {
			t.Errorf("no request of %s: parts shall have identities of their own", u)
		}
	}
}

func TestNothingIsExecutedButLogsAnswer(t *testing.T) {
	p, ctx := sandbox(t), t.Context()
	cfg := config(t, p.kubeconfig())
	cs := clientset(t, cfg)
	ns := namespace(t, cs)
	pod := &corev1.Pod{ObjectMeta: meta("p"), Spec: podTemplate("p").Spec}
	eventually(t, "create a pod", func() error {
		_, err := cs.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
	eventually(t, "logs", func() error {
		b, err := cs.CoreV1().Pods(ns).GetLogs("p", &corev1.PodLogOptions{}).DoRaw(ctx)
		if err == nil && !strings.Contains(string(b), "simulated") {
			err = fmt.Errorf("the log is %q", b)
		}
		return err
	})
	marker := filepath.Join(t.TempDir(), "executed")
	for _, sub := range []string{"exec", "attach"} {
		rsp, err := upgrade(cfg, fmt.Sprintf("/api/v1/namespaces/%s/pods/p/%s?container=main&stdout=true&command=touch&command=%s", ns, sub, marker))
		if err != nil {
			t.Fatal(err)
		}
		if rsp.StatusCode < 400 {
			t.Errorf("%s: status %s, want a refusal", sub, rsp.Status)
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("exec ran a command on this host")
	}
}

// upgrade sends what kubectl exec sends, without what follows. Each goes over a
// connection of its own: the API server closes one on which it has refused an
// upgrade, without saying so in its answer.
func upgrade(cfg *rest.Config, path string) (*http.Response, error) {
	certs, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, err
	}
	certs.NextProtos = []string{"http/1.1"} // HTTP/2 knows no upgrade
	rt := &http.Transport{TLSClientConfig: certs, DisableKeepAlives: true}
	req, err := http.NewRequest(http.MethodPost, cfg.Host+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "SPDY/3.1")
	req.Header.Set("X-Stream-Protocol-Version", "v4.channel.k8s.io")
	rsp, err := rt.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	_, err = io.Copy(io.Discard, rsp.Body)
	return rsp, err
}

func TestKubeletAnswersTheAPIServerOnly(t *testing.T) {
	cs := admin(t)
	node, err := cs.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("https://127.0.0.1:%d/containerLogs/default/p/main", node.Status.DaemonEndpoints.KubeletEndpoint.Port)
	adminTLS, err := rest.TLSConfigFor(config(t, sandbox(t).kubeconfig()))
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]*tls.Config{
		"nobody":        {RootCAs: adminTLS.RootCAs},
		"cluster-admin": adminTLS,
	} {
		hc := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
		rsp, err := hc.Get(url)
		if err == nil {
			rsp.Body.Close()
			t.Errorf("%s got %s from a kubelet", name, rsp.Status)
		}
	}
}
