// Command image packs abide into an OCI image without Docker: an OCI layout in
// one tar file that docker load, podman load, skopeo and kind take.
//
// The image holds abide, and from the machine it is made on git with its HTTPS
// transport, the shared libraries of both, a POSIX shell (git runs its ssh
// command and its credential helpers through one) and CA certificates. It runs
// as the user 65532. Equal inputs give equal bytes: nothing in it depends on the
// time, on the owner of a file, or on the order of a map.
package main

import (
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

func main() {
	binary := flag.String("binary", "bin/abide", "the abide program")
	out := flag.String("out", "bin/abide-image.tar", "file to write")
	tag := flag.String("tag", "abide:dev", "name that the image gets when it is loaded")
	flag.Parse()
	made, err := run(*binary, *out, *tag)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(made)
}

// run writes the image and says what it wrote.
func run(binary, out, tag string) (string, error) {
	arch, err := architecture(binary)
	if err != nil {
		return "", err
	}
	git, err := findGit()
	if err != nil {
		return "", err
	}
	base := newLayer()
	if err := addSystem(base, git); err != nil {
		return "", err
	}
	app := newLayer()
	if err := app.copyFile(binary, "abide", 0o755); err != nil {
		return "", err
	}
	f, err := os.Create(out)
	if err != nil {
		return "", err
	}
	defer f.Close()
	digest, err := writeImage(f, config{Architecture: arch, Tag: tag}, base, app)
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s  %s  linux/%s  %s", out, tag, arch, digest), nil
}

// architecture of a Linux program, in Go's words.
func architecture(binary string) (string, error) {
	f, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("%s is no Linux program: %w", binary, err)
	}
	defer f.Close()
	switch f.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("%s is for %v: only amd64 and arm64 images are made", binary, f.Machine)
}

// gitFiles is where this machine has git.
type gitFiles struct {
	program  string // /usr/bin/git
	execPath string // /usr/lib/git-core
}

func findGit() (gitFiles, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return gitFiles{}, fmt.Errorf("the image takes git from this machine: %w", err)
	}
	b, err := exec.Command(program, "--exec-path").Output()
	if err != nil {
		return gitFiles{}, fmt.Errorf("%s --exec-path: %w", program, err)
	}
	return gitFiles{program: program, execPath: strings.TrimSpace(string(b))}, nil
}
