package git

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is the class of an [Error]. Its text is the reason of a Kubernetes
// condition.
type Kind string

// The classes of errors.
const (
	URLInvalid                Kind = "URLInvalid"
	LocalRepositoryNotAllowed Kind = "LocalRepositoryNotAllowed"
	CredentialsInvalid        Kind = "CredentialsInvalid"
	InsecureTransport         Kind = "InsecureTransport" // a secret would go over plain http
	HostUnreachable           Kind = "HostUnreachable"
	AddressBlocked            Kind = "AddressBlocked" // an address that abide does not connect to
	AuthenticationFailed      Kind = "AuthenticationFailed"
	RepositoryNotFound        Kind = "RepositoryNotFound"
	HostKeyUnknown            Kind = "HostKeyUnknown"
	HostKeyMismatch           Kind = "HostKeyMismatch"
	CertificateInvalid        Kind = "CertificateInvalid"
	RedirectRefused           Kind = "RedirectRefused"
	RefInvalid                Kind = "RefInvalid" // what to follow is not stated well
	RefNotFound               Kind = "RefNotFound"
	CommitNotFound            Kind = "CommitNotFound"
	RepositoryEmpty           Kind = "RepositoryEmpty"
	RepositoryMalformed       Kind = "RepositoryMalformed" // the remote's objects break Git's rules
	RepositoryTooLarge        Kind = "RepositoryTooLarge"
	FetchTimeout              Kind = "FetchTimeout"
	MirrorCorrupt             Kind = "MirrorCorrupt" // repaired by the next fetch
	CacheFailed               Kind = "CacheFailed"   // the disk of the cache is full, or cannot be written
	GitFailed                 Kind = "GitFailed"     // anything else that git said
)

// Error is what went wrong with a remote repository or its mirror. Its message
// is for people and holds no secret.
type Error struct {
	Kind Kind
	URL  string // canonical, or as given when it could not be parsed; no secrets
	// Problem says what failed and why; Hint says what to do. Both are parts
	// of a sentence; Hint may be empty.
	Problem string
	Hint    string
	Err     error // a cause with a type, or nil
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.URL != "" {
		b.WriteString(e.URL)
		b.WriteString(": ")
	}
	b.WriteString(e.Problem)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Reason is the CamelCase word for a condition.
func (e *Error) Reason() string { return string(e.Kind) }

// Refused tells that the remote answered and said no: what it once showed must
// not be read any longer with these credentials.
func (e *Error) Refused() bool {
	switch e.Kind {
	case AuthenticationFailed, RepositoryNotFound, CredentialsInvalid, InsecureTransport,
		LocalRepositoryNotAllowed, URLInvalid:
		return true
	}
	return false
}

// NoAnswer tells that the remote was not heard, so that trying it again may
// hold a slot for as long as its time limit.
func (e *Error) NoAnswer() bool {
	return e.Kind == HostUnreachable || e.Kind == FetchTimeout
}

// Local tells that neither the remote nor the network is to blame, but the disk
// of abide's own cache.
func (e *Error) Local() bool { return e.Kind == CacheFailed }

// ReasonOf returns the reason of the first error in err's tree that has one,
// or GitFailed.
func ReasonOf(err error) string {
	var r interface{ Reason() string }
	if errors.As(err, &r) {
		return r.Reason()
	}
	return string(GitFailed)
}

// IsKind tells whether err's tree holds an [Error] of that kind.
func IsKind(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

func errorf(k Kind, url, hint, format string, args ...any) *Error {
	return &Error{Kind: k, URL: url, Hint: hint, Problem: fmt.Sprintf(format, args...)}
}
