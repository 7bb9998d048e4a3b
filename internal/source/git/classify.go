package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"abide.dev/abide/internal/source/dialguard"
	"abide.dev/abide/internal/source/git/sshclient"
)

// symptom is a text in git's messages (LC_ALL=C, lower case) and what it means.
type symptom struct {
	text string
	kind Kind
}

// symptoms are tried in order: a more telling text stands before a vaguer one
// that appears with it. They are the words of git, of the TLS libraries that
// curl may be linked with, and of the large hosts.
var symptoms = []symptom{
	{"could not resolve host", HostUnreachable},
	{"could not resolve proxy", HostUnreachable},
	{"authentication failed for", AuthenticationFailed},
	{"could not read username", AuthenticationFailed},
	{"could not read password", AuthenticationFailed},
	{"returned error: 401", AuthenticationFailed},
	{"returned error: 403", AuthenticationFailed},
	{"http basic: access denied", AuthenticationFailed},
	{"invalid username or password", AuthenticationFailed},
	{"invalid username or token", AuthenticationFailed},
	{"permission denied", AuthenticationFailed},
	{"repository not found", RepositoryNotFound},
	{"does not appear to be a git repository", RepositoryNotFound},
	{"not a git repository", RepositoryNotFound},
	{"does not exist", RepositoryNotFound},
	{"could not be found", RepositoryNotFound},
	{"no such file or directory", RepositoryNotFound},
	{"returned error: 404", RepositoryNotFound},
	{"' not found", RepositoryNotFound},
	{"returned error: 410", RepositoryNotFound},
	{"returned error: 301", RedirectRefused},
	{"returned error: 302", RedirectRefused},
	{"returned error: 303", RedirectRefused},
	{"returned error: 307", RedirectRefused},
	{"returned error: 308", RedirectRefused},
	{"certificate", CertificateInvalid},
	{"ssl certificate problem", CertificateInvalid},
	{"server verification failed", CertificateInvalid},
	{"no alternative certificate subject name", CertificateInvalid},
	{"tls", HostUnreachable},
	{"ssl", HostUnreachable},
	{"couldn't find remote ref", RefNotFound},
	{"not our ref", CommitNotFound},
	{"unadvertised object", CommitNotFound},
	{"could not connect", HostUnreachable},
	{"failed to connect", HostUnreachable},
	{"couldn't connect", HostUnreachable},
	{"connection refused", HostUnreachable},
	{"connection reset", HostUnreachable},
	{"connection timed out", HostUnreachable},
	{"network is unreachable", HostUnreachable},
	{"no route to host", HostUnreachable},
	{"empty reply from server", HostUnreachable},
	{"socks5", HostUnreachable},
	{"operation too slow", HostUnreachable},
	{"operation timed out", HostUnreachable},
	{"recv failure", HostUnreachable},
	{"proxy connect aborted", HostUnreachable},
	{"connect tunnel failed", HostUnreachable},
	{"returned error: 407", HostUnreachable},
	{"returned error: 5", HostUnreachable},
	{"returned error: 429", HostUnreachable},
	{"hung up unexpectedly", HostUnreachable},
	{"unexpected disconnect", HostUnreachable},
	{"early eof", HostUnreachable},
}

// damage are the words for a mirror on disk that is broken.
var damage = []string{
	"is corrupt", "object corrupt", "is empty", "bad object", "unable to read", "missing blob", "missing tree", "missing commit",
	"did not send all necessary objects", "unable to read tree", "bad signature", "invalid index-pack", "packfile",
	"not a git repository: '", "pack has bad object", "loose object", "bad pack header", "failed to read object", "invalid object",
	"bad config", "packed-refs", "bad shallow", "unresolved delta", "inflate:", "could not parse commit", "not a valid object", "bad ref",
}

// classify turns a failed git process into an [Error] about u. mirror tells
// that the process worked on a mirror of ours.
func classify(u URL, c Credentials, mirror bool, err error) error {
	var f *failure
	if err == nil || !errors.As(err, &f) {
		return err // the context's, or one that is already typed
	}
	// The address may have any of the words below in it.
	text := strings.ReplaceAll(strings.ToLower(f.stderr), strings.ToLower(u.canonical), "")
	if e := undialled(u, f); e != nil {
		return e
	}
	if f.timedOut {
		return &Error{Kind: FetchTimeout, URL: u.String(), Err: err, Problem: "the time limit ran out before the remote had answered",
			Hint: "check that the host can be reached from here and is not overloaded"}
	}
	if kind, message, ok := sshclient.ParseMessage(f.stderr); ok {
		return &Error{Kind: Kind(kind), URL: u.String(), Problem: message, Err: err}
	}
	if kind := fsckKind(text); kind != "" {
		return &Error{Kind: kind, URL: u.String(), Err: err,
			Problem: "the repository holds an object that breaks Git's rules (" + said(f) + ")",
			Hint:    "run git fsck on it and repair its history"}
	}
	if mirror && !remoteSpoke(text) {
		for _, d := range damage {
			if strings.Contains(text, d) {
				return &Error{Kind: MirrorCorrupt, URL: u.String(), Err: err,
					Problem: "the local mirror is damaged (" + said(f) + ")", Hint: "it will be fetched anew"}
			}
		}
	}
	for _, s := range symptoms {
		if strings.Contains(text, s.text) {
			return explain(u, c, s.kind, f, err)
		}
	}
	return &Error{Kind: GitFailed, URL: u.String(), Problem: "git says: " + said(f), Err: err}
}

// undialled explains that a process got no connection, as far as the gate knows
// why; nil if it does not.
func undialled(u URL, f *failure) error {
	var blocked *dialguard.BlockedError
	switch {
	case errors.As(f.dial, &blocked):
		e := &Error{Kind: AddressBlocked, URL: u.String(), Problem: blocked.Error(), Err: f.dial,
			Hint: "it is refused to keep abide from being used to reach what only its machine may reach"}
		if p := blocked.Prefix(); p != "" {
			e.Hint += "; if the host is meant to be there, whoever runs abide can allow " + p
		}
		return e
	case f.dial != nil && !f.timedOut:
		return &Error{Kind: HostUnreachable, URL: u.String(), Problem: fmt.Sprintf("the host cannot be reached (%v)", f.dial), Hint: "abide keeps trying", Err: f.dial}
	}
	return nil
}

// remoteSpoke tells that the remote said something or broke off, so that what
// git complains about need not be the mirror.
func remoteSpoke(text string) bool {
	for _, s := range []string{"remote:", "remote error", "early eof", "hung up", "unexpected disconnect"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// diskTrouble are the words for a disk that can't be written, and what to call
// that.
var diskTrouble = []struct{ text, problem string }{
	{"no space left on device", "is full"},
	{"out of diskspace", "is full"},
	{"disk quota exceeded", "is full"},
	{"read-only file system", "is read-only"},
}

// disk gives an error that comes of the disk under the cache the kind CacheFailed,
// and returns every other one as it is. What else git says then, such as that it
// can't write an object, reads like damage; and names of temporary files, which
// are others each time, make of one trouble many.
func (m *Mirror) disk(err error) error {
	if err == nil {
		return nil
	}
	problem := ""
	said := func(line string) {
		for _, d := range diskTrouble {
			if problem == "" && strings.Contains(line, d.text) {
				problem = "the disk that abide's cache is on " + d.problem
			}
		}
	}
	own := func(err error) {
		if said(err.Error()); problem == "" {
			problem = "abide's cache cannot be written: " + err.Error()
		}
	}
	var f *failure
	var file *fs.PathError
	var files *os.LinkError
	switch {
	case errors.As(err, &f):
		for line := range strings.Lines(strings.ToLower(f.stderr)) {
			if !strings.HasPrefix(line, "remote:") && !strings.Contains(line, "remote error") { // which speak of its own disk
				said(line)
			}
		}
	case errors.Is(err, fs.ErrNotExist): // the cache was deleted under us
	case errors.As(err, &file) && file.Op != "fork/exec": // which is git that does not start
		own(file.Err)
	case errors.As(err, &files):
		own(files.Err)
	}
	if problem == "" {
		return err
	}
	return &Error{Kind: CacheFailed, URL: m.url.String(), Err: err,
		Problem: fmt.Sprintf("%s (%s)", problem, filepath.Dir(m.store.mirrorsDir)),
		Hint:    "make room there or repair the volume; abide then goes on by itself"}
}

func fsckKind(text string) Kind {
	for _, s := range []string{"fsck error", "error in object", "in fsck", "object of unexpected type"} {
		if strings.Contains(text, s) {
			return RepositoryMalformed
		}
	}
	return ""
}

func explain(u URL, c Credentials, k Kind, f *failure, cause error) error {
	e := &Error{Kind: k, URL: u.String(), Err: cause}
	switch k {
	case AuthenticationFailed:
		switch {
		case u.Local():
			e.Problem = "abide may not read this folder"
		case u.scheme == "ssh" || c.httpSecret():
			e.Problem = "the host refused the credentials (" + said(f) + ")"
			e.Hint = "check that they are right, not expired, and may read this repository"
		default:
			e.Problem = "the host asks for credentials, and there are none for this repository"
			e.Hint = "create a Repository for it that names a Secret, or check the URL: many hosts answer so for a repository that does not exist"
		}
	case RepositoryNotFound:
		e.Problem = "there is no such repository"
		e.Hint = "check the URL; a private repository looks like a missing one to credentials that may not read it"
		if u.Local() {
			e.Hint = "check the path"
		}
	case RedirectRefused:
		e.Problem = "the host redirects to another address, and abide follows no redirects"
		e.Hint = "use the address that it redirects to (often the same one with .git at its end, or with https)"
	case CertificateInvalid:
		e.Problem = "the host's TLS certificate cannot be trusted (" + said(f) + ")"
		e.Hint = "if it is signed by an authority of your own, add its certificate as the CA bundle to the Repository's Secret"
	case HostUnreachable:
		e.Problem = "the host cannot be reached (" + said(f) + ")"
		e.Hint = "abide keeps trying"
	case RefNotFound, CommitNotFound:
		e.Problem = "the remote does not have it (" + said(f) + ")"
	}
	return e
}

// said picks what git said that tells most, shortened.
func said(f *failure) string {
	best := ""
	for _, line := range strings.Split(f.stderr, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "warning:") || strings.HasPrefix(line, "hint:") {
			continue
		}
		line = strings.TrimPrefix(strings.TrimPrefix(line, "fatal: "), "error: ")
		if best == "" || strings.HasPrefix(line, "unable to access") || strings.HasPrefix(line, "remote:") {
			best = line
		}
	}
	if best == "" {
		best = f.err.Error()
	}
	if i := strings.Index(best, "unable to access '"); i >= 0 {
		if _, after, ok := strings.Cut(best, "': "); ok {
			best = after
		}
	}
	const most = 300
	if len(best) > most {
		best = strings.ToValidUTF8(best[:most], "") + "…"
	}
	return best
}

// unsupportedDepth tells whether a fetch failed because the server cannot
// serve a shallow one.
func unsupportedDepth(err error) bool {
	var f *failure
	return errors.As(err, &f) && strings.Contains(f.stderr, "does not support shallow")
}

// ended describes a reader that stopped talking.
func ended(u URL, stderr string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return classify(u, Credentials{}, true, &failure{stderr: stderr, err: fmt.Errorf("git cat-file ended: %w", err)})
}

// refusesHashes tells whether a fetch failed because the server gives out
// what its refs name, and nothing else.
func refusesHashes(err error) bool {
	var f *failure
	return errors.As(err, &f) && (strings.Contains(f.stderr, "unadvertised object") || strings.Contains(f.stderr, "not valid"))
}
