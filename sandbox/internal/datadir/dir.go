// Package datadir knows what a sandbox keeps on disk, and who may use it.
//
// Everything a sandbox persists lies below one directory, DIR:
//
//	lock                 held with flock while any process of the sandbox lives; names the owner
//	ports.json           the ports of the last run, taken again when they are free
//	kubeconfig           cluster-admin, for the user
//	ready                exists only while the sandbox is ready; holds the server's URL
//	pki/                 the CA, certificates and keys
//	components/          a kubeconfig for each component
//	etcd/                the cluster's data
//	logs/NAME.log        what each component says in this run, NAME.log.1 in the run before
//	run/                 sockets; the working directory of the components
//
// Files hold secrets and are readable by their owner only. No file is ever
// half written: each is written beside its place and renamed into it.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is the absolute path of a sandbox's directory.
type Dir string

// Open makes path absolute and creates the directories a sandbox needs.
func Open(path string) (Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("data directory %q: %w", path, err)
	}
	d := Dir(abs)
	if st, err := os.Stat(abs); err == nil && !st.IsDir() {
		return "", fmt.Errorf("data directory %s is a file; give a directory with --data", abs)
	}
	for _, p := range []string{abs, d.PKI(""), d.Component(""), d.Logs(), d.Run("")} {
		if err := os.MkdirAll(p, 0o700); err != nil {
			return "", fmt.Errorf("data directory %s: %w", abs, err)
		}
	}
	return d, nil
}

// Kubeconfig is the path of the cluster-admin's kubeconfig.
func (d Dir) Kubeconfig() string { return filepath.Join(string(d), "kubeconfig") }

// Ready is the path of the file that exists while the sandbox is ready.
func (d Dir) Ready() string { return filepath.Join(string(d), "ready") }

// PKI is the path of a certificate or key.
func (d Dir) PKI(name string) string { return filepath.Join(string(d), "pki", name) }

// Component is the path of a component's kubeconfig.
func (d Dir) Component(name string) string { return filepath.Join(string(d), "components", name) }

// Etcd is the path of the cluster's data.
func (d Dir) Etcd() string { return filepath.Join(string(d), "etcd") }

// Logs is the folder of the components' logs.
func (d Dir) Logs() string { return filepath.Join(string(d), "logs") }

// Run is the path of something that has no meaning after the run.
func (d Dir) Run(name string) string { return filepath.Join(string(d), "run", name) }

// SetReady writes the ready file.
func (d Dir) SetReady(url string) error { return WriteFile(d.Ready(), []byte(url+"\n")) }

// ClearReady removes the ready file; that there is none is no error.
func (d Dir) ClearReady() error {
	if err := os.Remove(d.Ready()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// WriteFile replaces path by content in one step, readable by the owner only.
func WriteFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return nil
}
