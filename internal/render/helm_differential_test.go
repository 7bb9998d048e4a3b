package render_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/dirtree"
	"abide.dev/abide/internal/snapshot/memtree"
)

// helmCommand returns the unmodified command of the library's version.
func helmCommand(t *testing.T) string {
	t.Helper()
	return command(t, "ABIDE_HELM", "helm", "make bin/helm")
}

// chartArchives are the test repositories with charts. Their comments list
// what to render with which flags of the command; a file "a.tgz!/b" is the
// file b of an archive.
func chartArchives(t testing.TB) []archive {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "helm", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no charts to test: %v", err)
	}
	var out []archive
	for _, f := range files {
		ar, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		a := archive{name: strings.TrimSuffix(filepath.Base(f), ".txtar"), nodes: map[string]memtree.Node{}}
		for line := range strings.Lines(string(ar.Comment)) {
			if b, ok := strings.CutPrefix(strings.TrimSpace(line), "render: "); ok {
				a.builds = append(a.builds, b)
			}
		}
		packed := map[string]map[string]string{}
		for _, file := range ar.Files {
			if name, ok := strings.CutPrefix(file.Name, "link:"); ok {
				a.nodes[name] = memtree.Link(strings.TrimSpace(string(file.Data)))
			} else if outer, inner, ok := strings.Cut(file.Name, "!/"); ok {
				if packed[outer] == nil {
					packed[outer] = map[string]string{}
				}
				packed[outer][inner] = string(file.Data)
			} else {
				a.nodes[file.Name] = memtree.File(string(file.Data))
			}
		}
		for name, inside := range packed {
			a.nodes[name] = memtree.File(pack(t, inside))
		}
		out = append(out, a)
	}
	return out
}

// pack makes an archive, its files in order of name.
func pack(t testing.TB, files map[string]string) string {
	t.Helper()
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var headers []tar.Header
	for _, name := range names {
		headers = append(headers, tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))})
	}
	return packHeaders(t, headers, files)
}

func packHeaders(t testing.TB, headers []tar.Header, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[h.Name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// helmRequest reads a line of a test repository as the command reads it.
func helmRequest(line string) render.Request {
	fields := strings.Fields(line)
	o := &helm.Options{}
	for i := 1; i < len(fields); i++ {
		switch fields[i] {
		case "--is-upgrade":
			o.Upgrade = true
			continue
		case "--skip-tests":
			o.SkipTests = true
			continue
		}
		i++
		switch v := fields[i]; fields[i-1] {
		case "--release-name":
			o.ReleaseName = v
		case "-n", "--namespace":
			o.Namespace = v
		case "--values":
			o.ValuesFiles = append(o.ValuesFiles, helm.ValuesFile{Path: v})
		case "--kube-version":
			o.KubeVersion = v
		case "--api-versions":
			o.APIVersions = append(o.APIVersions, v)
		default:
			panic("unknown flag " + fields[i-1])
		}
	}
	return render.Request{Path: fields[0], Text: true, Helm: o}
}

// runHelm renders a line with the command, in a new process and with nothing
// in its environment.
func runHelm(t *testing.T, bin, dir, line string) (out []byte, failed string) {
	t.Helper()
	fields := strings.Fields(line)
	name := helm.DefaultReleaseName
	args := []string{"--include-crds"}
	for i := 1; i < len(fields); i++ {
		if fields[i] == "--release-name" {
			i++
			name = fields[i]
			continue
		}
		args = append(args, fields[i])
	}
	chart := strings.TrimSuffix(fields[0], "/Chart.yaml")
	cmd := exec.Command(bin, append([]string{"template", name, "./" + chart}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + t.TempDir(), "TZ=UTC"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, stderr.String()
	}
	return stdout.Bytes(), ""
}

// TestHelmMatchesCommand compares every line of testdata with what the command
// prints on a checkout. Where the command fails, ours must.
func TestHelmMatchesCommand(t *testing.T) {
	bin := helmCommand(t)
	for _, a := range chartArchives(t) {
		dir := a.checkout(t)
		disk, err := dirtree.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { disk.Close() })
		for _, line := range a.builds {
			t.Run(a.name+"/"+line, func(t *testing.T) {
				want, failed := runHelm(t, bin, dir, line)
				for name, tree := range map[string]snapshot.Tree{"memory": memtree.New(a.nodes), "disk": disk} {
					res, err := render.Render(context.Background(), tree, helmRequest(line))
					switch {
					case failed != "" && err == nil:
						t.Errorf("%s: the command fails and abide does not; it says:\n%s", name, failed)
					case failed != "":
						wantAny(t, err)
						t.Logf("abide: %v\ncommand: %s", err, failed)
					case err != nil:
						t.Errorf("%s: abide fails where the command does not: %v", name, err)
					default:
						if d := cmp.Diff(string(want), string(res.Text)); d != "" {
							t.Errorf("%s: not what the command prints (-command +abide):\n%s", name, d)
						}
					}
				}
			})
		}
	}
}
