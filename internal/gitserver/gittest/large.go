package gittest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"testing"
	"time"
)

// LargeFile is the path of the i-th file of a repository made by Large: ten
// files to a folder, a hundred folders to a group.
func LargeFile(i int) string {
	return fmt.Sprintf("apps/group%03d/app%02d/file%d.yaml", i/1000, i/10%100, i%10)
}

// LargeContent is the content of the i-th file at its n-th change.
func LargeContent(i, n int) string {
	return fmt.Sprintf(largeManifest, i, i/10, n%9+1, i/10, n)
}

// About 700 bytes, which is what manifests in monorepos have.
const largeManifest = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-%d
  labels:
    app.kubernetes.io/name: web
    app.kubernetes.io/part-of: app-%d
    app.kubernetes.io/managed-by: abide
spec:
  replicas: %d
  selector:
    matchLabels:
      app.kubernetes.io/name: web
  template:
    metadata:
      labels:
        app.kubernetes.io/name: web
    spec:
      serviceAccountName: app-%d
      containers:
      - name: web
        image: registry.example.org/web:1.0.%d
        ports:
        - name: http
          containerPort: 8080
        resources:
          requests: {cpu: 100m, memory: 64Mi}
          limits: {memory: 128Mi}
        readinessProbe:
          httpGet: {path: /ready, port: http}
`

// Large makes a bare repository whose branch main has that many files, and
// that many commits after the first, each of which changes one file. It is
// packed as a host would have it, with a bitmap.
func Large(t testing.TB, files, commits int) *Repo {
	t.Helper()
	r := New(t)
	r.stream(func(w io.Writer) {
		r.begin(w, "everything", "")
		for i := range files {
			content := LargeContent(i, 0)
			fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", LargeFile(i), len(content), content)
		}
		for n := 1; n <= commits; n++ {
			i := n * 7919 % files // a prime: neighbours in time lie far apart in the tree
			content := LargeContent(i, n)
			r.begin(w, fmt.Sprintf("change %d", n), "")
			fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", LargeFile(i), len(content), content)
		}
	})
	r.Git("repack", "-q", "-a", "-d", "-b")
	return r
}

// Change commits some files on top of the current branch. The others stay as
// they are, and need not be known to r.
func (r *Repo) Change(message string, files map[string]string) string {
	r.t.Helper()
	head := r.Head(r.branch)
	r.stream(func(w io.Writer) {
		r.begin(w, message, head)
		for name, content := range files {
			fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", quote(name), len(content), content)
		}
	})
	return r.Head(r.branch)
}

// begin writes the head of a commit, on top of from or of the commit before.
func (r *Repo) begin(w io.Writer, message, from string) {
	r.clock = r.clock.Add(time.Minute)
	at := r.clock.Unix()
	fmt.Fprintf(w, "commit refs/heads/%s\nauthor Ada <ada@example.org> %d +0200\ncommitter Grace <grace@example.org> %d +0200\ndata %d\n%s\n",
		r.branch, at, at, len(message), message)
	if from != "" {
		fmt.Fprintf(w, "from %s\n", from)
	}
}

// stream gives git fast-import what write writes.
func (r *Repo) stream(write func(io.Writer)) {
	r.t.Helper()
	cmd := exec.Command("git", "--git-dir="+r.Dir(), "fast-import", "--quiet", "--done", "--date-format=raw")
	cmd.Env = Environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	w := bufio.NewWriterSize(in, 1<<20)
	write(w)
	fmt.Fprintln(w, "done")
	w.Flush() // an error shows in how git ends
	in.Close()
	if err := cmd.Wait(); err != nil {
		r.t.Fatalf("git fast-import: %v\n%s", err, stderr.String())
	}
}
