package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// user runs the program: the uid that images without a distribution use.
const user = 65532

// caBundles are where distributions keep the bundle of CA certificates. The
// first is where Debian's libcurl, Go and the image look.
var caBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/cert.pem",
}

// nameService are libraries that glibc loads when it resolves a name, where they
// are not built into it.
var nameService = []string{"libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"}

// addSystem puts what abide needs of a system into l.
func addSystem(l *layer, git gitFiles) error {
	for name, text := range map[string]string{
		"etc/passwd": fmt.Sprintf("root:x:0:0:root:/root:/sbin/nologin\nabide:x:%d:%d:abide:/tmp:/sbin/nologin\n", user, user),
		"etc/group":  fmt.Sprintf("root:x:0:\nabide:x:%d:\n", user),
		// Names from /etc/hosts come first, as the kubelet expects.
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	} {
		l.addFile(name, 0o644, []byte(text))
	}
	l.addDir("tmp", 0o1777)
	l.addDir("var/cache/abide", 0o777)
	// An empty template: git warns where it finds none.
	l.addDir("usr/share/git-core/templates", 0o755)

	if err := addCertificates(l); err != nil {
		return err
	}
	libraries := newLibraries()
	for dst, src := range map[string]string{
		"usr/bin/git":                      git.program,
		"usr/lib/git-core/git-remote-http": filepath.Join(git.execPath, "git-remote-http"),
		"bin/sh":                           "/bin/sh",
	} {
		if err := l.copyFile(src, dst, 0o755); err != nil {
			return err
		}
		if err := libraries.need(src); err != nil {
			return err
		}
	}
	// Git looks for its helpers where it was built to; the files are in one place.
	if p := relative(git.execPath); p != "usr/lib/git-core" {
		l.addLink(p, "/usr/lib/git-core")
	}
	l.addLink("usr/lib/git-core/git-remote-https", "git-remote-http")
	l.addLink("usr/lib/git-core/git", "/usr/bin/git")
	l.addLink("usr/bin/git-upload-pack", "git")

	for _, name := range nameService {
		if err := libraries.needIfThere(name); err != nil {
			return err
		}
	}
	for dst, src := range libraries.places() {
		if err := l.copyFile(src, relative(dst), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func addCertificates(l *layer) error {
	for _, src := range caBundles {
		b, err := os.ReadFile(src)
		if err != nil {
			continue
		}
		for _, dst := range caBundles[:2] {
			l.addFile(relative(dst), 0o644, b)
		}
		return nil
	}
	return fmt.Errorf("no CA certificates in %v: install ca-certificates", caBundles)
}

// relative turns an absolute path into the name of a tar entry.
func relative(path string) string {
	return filepath.Clean(path)[1:]
}
