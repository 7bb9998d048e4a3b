package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func auditLine(stage, verb, who, uri, group, resource string, code int) string {
	return fmt.Sprintf(`{"stage":%q,"verb":%q,"requestURI":%q,"user":{"username":%q},"objectRef":{"apiGroup":%q,"resource":%q},"responseStatus":{"code":%d},"stageTimestamp":"2026-01-02T03:04:05.5Z"}`+"\n",
		stage, verb, uri, who, group, resource, code)
}

func TestAuditLog(t *testing.T) {
	const done, begun = "ResponseComplete", "ResponseStarted"
	file := filepath.Join(t.TempDir(), "audit.log")
	first := auditLine(done, "patch", user, "/api/v1/namespaces/a/configmaps/b?dryRun=All", "", "configmaps", 200) +
		auditLine(done, "patch", "somebody", "/api/v1/namespaces/a/configmaps/b", "", "configmaps", 200) +
		auditLine(begun, "watch", user, "/api/v1/configmaps?sendInitialEvents=true&watch=true", "", "configmaps", 200) +
		auditLine(done, "watch", user, "/api/v1/configmaps?sendInitialEvents=true&watch=true", "", "configmaps", 200) + // the same, at its end
		auditLine(done, "get", "somebody", "/apis/abide.dev/v1alpha1/apps/"+user, "abide.dev", "apps", 200) // it only names the user
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := &auditLog{file: file}
	write(first + `{"stage":"Resp`) // a line that is being written
	if n, err := a.read(); n != 2 || err != nil {
		t.Fatalf("%d requests, %v; want 2: %v", n, err, a.requests)
	}
	write(first + auditLine(done, "update", user, "/apis/abide.dev/v1alpha1/namespaces/a/inventories/b", "abide.dev", "inventories", 409) +
		auditLine(done, "get", user, "/api/v1?timeout=32s", "", "", 200))
	if _, err := a.read(); err != nil {
		t.Fatal(err)
	}
	got := tally(a.requests)
	want := map[string]int{"patch configmaps (dry run)": 1, "list and watch configmaps": 1, "update inventories → 409": 1, "get /api/v1": 1}
	if diff := cmp.Diff(want, got.byName()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	for name, c := range map[string]struct {
		which func(request) bool
		want  int
	}{"writes": {request.write, 2}, "lists": {request.list, 1}, "watches": {request.watch, 1}, "records": {aboutApp.asks, 1}, "objects written": {aboutObject.writes, 1}, "Repositories": {aboutRepository.asks, 0}} {
		if n := got.count(c.which); n != c.want {
			t.Errorf("%d %s, want %d", n, name, c.want)
		}
	}
	if got.last(request.write).IsZero() || !got.last(func(request) bool { return false }).IsZero() {
		t.Error("last is the time of the last that was asked for, or none")
	}

	write(first + "no JSON, but " + user + "\n")
	if _, err := (&auditLog{file: file}).read(); err == nil {
		t.Error("a line that is no JSON is taken")
	}
}
