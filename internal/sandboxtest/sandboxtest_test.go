package sandboxtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestMain(m *testing.M) { os.Exit(RunMain(m)) }

func client(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	cs, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func TestSharedIsOneSandboxAndCountsByUser(t *testing.T) {
	s := Shared(t)
	if other := Shared(t); other != s {
		t.Error("Shared gave two sandboxes")
	}
	ns := s.Namespace(t)
	if _, err := client(t, s.Config()).CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err != nil {
		t.Errorf("the namespace of the test: %v", err)
	}
	user := "tenant-" + ns
	cs := client(t, s.User(t, user, "tenants"))
	for range 3 {
		_, err := cs.CoreV1().ConfigMaps(ns).Get(t.Context(), "x", metav1.GetOptions{})
		if !apierrors.IsForbidden(err) {
			t.Fatalf("a user without a role: got %v, want forbidden", err)
		}
	}
	got := s.Requests(t, user)
	if len(got) != 3 {
		t.Fatalf("got %d events of %s, want 3: %+v", len(got), user, got)
	}
	e := got[0]
	if e.Received.IsZero() || e.Staged.Before(e.Received) || e.ID == "" || e.UserAgent == "" {
		t.Errorf("times, id or agent are missing: %+v", e)
	}
	e.Received, e.Staged, e.ID, e.UserAgent = time.Time{}, time.Time{}, "", ""
	want := AuditEvent{
		User: user, Verb: "get", Resource: "configmaps", Namespace: ns, Name: "x", Stage: StageComplete, Code: 403,
		URI: "/api/v1/namespaces/" + ns + "/configmaps/x",
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestStartStopStartKeepsData(t *testing.T) {
	dir := t.TempDir()
	s := Start(t, Dir(dir), Nodes(2))
	nodes, err := client(t, s.Config()).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 2 {
		t.Fatalf("got %d nodes (%v), want 2", len(nodes.Items), err)
	}
	uid := nodes.Items[0].UID
	s.Stop()
	if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
		t.Error("ready is still there after Stop")
	}
	again := Start(t, Dir(dir))
	node, err := client(t, again.Config()).CoreV1().Nodes().Get(t.Context(), nodes.Items[0].Name, metav1.GetOptions{})
	if err != nil || node.UID != uid {
		t.Errorf("after the restart: node %v, %v; want uid %s", node.UID, err, uid)
	}
}

func TestFindBinary(t *testing.T) {
	dir := t.TempDir()
	program, text := filepath.Join(dir, "program"), filepath.Join(dir, "text")
	for path, mode := range map[string]os.FileMode{program: 0o700, text: 0o600} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		env, want, err, why string
	}{
		{env: program, want: program, why: "the environment wins"},
		{env: text, err: "not a program", why: "a file that cannot run would fail later and less clearly"},
		{env: dir, err: "not a program", why: "a directory is executable, too"},
		{env: filepath.Join(dir, "none"), err: "make build", why: "the error says what to do"},
		{env: "bin/abide-sandbox", err: "absolute", why: "relative to what? tests run in many directories"},
	} {
		got, err := findBinary(func(string) string { return tc.env })
		if tc.err == "" && (err != nil || got != tc.want) {
			t.Errorf("%s: got %q, %v; %s", tc.env, got, err, tc.why)
		}
		if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%s: got %v, want …%s…; %s", tc.env, err, tc.err, tc.why)
		}
	}
}

func TestRepositoryIsTheRootModule(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "internal", "sandboxtest")); err != nil {
		t.Errorf("%s is not the root: %v", root, err)
	}
	t.Chdir(t.TempDir())
	if got, err := repository(); err == nil {
		t.Errorf("outside of the repository: got %s, want an error", got)
	}
}

func TestReadAudit(t *testing.T) {
	const log = `{"auditID":"1","stage":"ResponseStarted","verb":"watch","user":{"username":"a"},"objectRef":{"resource":"pods","subresource":"status","apiGroup":"g"},"responseStatus":{"code":200}}
{"auditID":"2","stage":"ResponseComplete","verb":"get","user":{"username":"b"},"impersonatedUser":{"username":"c"}}
{"auditID":"3","stage":"ResponseComplete","verb":"get","user":{}}
{"auditID":"4","stage":"Resp`
	for _, tc := range []struct {
		user string
		want []string
		why  string
	}{
		{"", []string{"1", "2", "3"}, "everybody, without the line that is still being written"},
		{"a", []string{"1"}, "one user"},
		{"c", nil, "who is acted for is not who acts"},
	} {
		events, err := readAudit(strings.NewReader(log), tc.user)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range events {
			got = append(got, e.ID)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("user %q: %s (-want +got):\n%s", tc.user, tc.why, diff)
		}
	}
	if _, err := readAudit(strings.NewReader("no json\n"), ""); err == nil {
		t.Error("a line that is no JSON: want an error")
	}
}

func TestPrefixIsADNSLabel(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"TestX/a_b", "t-testx-a-b-"},
		{"Test" + strings.Repeat("é", 40), "t-test-"},
		{"", "t--"},
	} {
		if got := prefix(tc.name); got != tc.want {
			t.Errorf("prefix(%q) = %q, want %q", tc.name, got, tc.want)
		}
	}
}

func FuzzReadAudit(f *testing.F) {
	f.Add([]byte(`{"auditID":"1","user":{"username":"a"},"stageTimestamp":"2026-01-01T00:00:00.000000Z"}` + "\n"))
	f.Add([]byte("{}\n{"))
	f.Add([]byte("null\n[]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := readAudit(strings.NewReader(string(b)), "")
		if err == nil && len(all) != strings.Count(string(b), "\n") {
			t.Errorf("got %d events of %d lines", len(all), strings.Count(string(b), "\n"))
		}
	})
}
