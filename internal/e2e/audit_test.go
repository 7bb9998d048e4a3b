package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cli"
)

// TestAudit: every change is in the audit log, over a kill and a change of the
// leader, and what is done to the log is found out with the head in the cluster.
func TestAudit(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	log := filepath.Join(t.TempDir(), "audit.jsonl")
	flags := w.flags
	w.flags = append(flags, "--audit-log", log)
	text := func(file string) string {
		b, err := os.ReadFile(file)
		if !errors.Is(err, fs.ErrNotExist) { // it comes with its first line
			must(t, err)
		}
		return string(b)
	}
	says := func(file string, words ...string) {
		t.Helper()
		eventually(t, "the audit log says "+strings.Join(words, ", "), func() error {
			for line := range strings.SplitSeq(text(file), "\n") {
				all := true
				for _, word := range words {
					all = all && strings.Contains(line, word)
				}
				if all {
					return nil
				}
			}
			return fmt.Errorf("it says %s", text(file))
		})
	}
	verify := func(want string, files ...string) {
		t.Helper()
		out, err := w.command(append([]string{"audit", "verify", "--abide-namespace", w.own}, files...)...)
		if !strings.Contains(out, want) || (err == nil) != strings.Contains(want, "each is as it was written") {
			t.Errorf("abide audit verify: %v: %s\nwant %q", err, out, want)
		}
	}

	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "1")})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	says(log, `"kind":"sync"`, `"app":"`+w.own+`/app"`, "ConfigMap "+ns+"/a", `"action":"create"`, `"release":1`, `"trigger":"Commit"`, "Ada <")
	says(log, `"kind":"release"`, `"outcome":"Succeeded"`)
	w.patch(cmNamed(ns, "a"), "meddler", `{"data":{"value":"by hand"}}`)
	says(log, `"kind":"heal"`, `"by":"meddler"`)
	w.abide.kill()
	w.run()
	w.repo.Write(map[string]string{"app/a.yaml": configMap("Not_A_Name", "1")})
	w.push(app, "two")
	says(log, `"kind":"failed"`, "Not_A_Name")
	w.abide.stop()
	verify("each is as it was written", log)

	other := log + ".other"
	w.flags = append(flags, "--audit-log", other)
	w.run()
	w.delete(app)
	w.gone(&v1alpha1.App{}, w.own, "app")
	says(other, `"kind":"removed"`)
	w.abide.stop()
	verify("each is as it was written", other, log)
	verify("it goes on where another file ends", other)
	verify("the end is missing", log)

	whole := text(other)
	must(t, os.WriteFile(other, []byte(strings.Replace(whole, ns+"/a", ns+"/b", 1)), 0o600))
	verify("was altered", log, other)
	must(t, os.WriteFile(other, []byte(strings.Join(strings.SplitAfter(whole, "\n")[:1], "")), 0o600))
	verify("the end is missing", log, other)
}

// command runs a command of abide's as the administrator, and returns all that it
// says; err tells that its exit code is not 0.
func (w *world) command(args ...string) (said string, err error) {
	w.t.Helper()
	var out bytes.Buffer
	code := cli.Main(append(append([]string{"abide"}, args...), "--kubeconfig", w.kubeconfig), cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out})
	if code != 0 {
		err = fmt.Errorf("exit code %d", code)
	}
	return out.String(), err
}
