package chart

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is the class of an [Error]. Its text is the reason of a Kubernetes
// condition. Kinds that package git has too mean the same there.
type Kind string

// The classes of errors.
const (
	URLInvalid           Kind = "URLInvalid"
	CredentialsInvalid   Kind = "CredentialsInvalid"
	InsecureTransport    Kind = "InsecureTransport" // plain http without leave, or with a secret
	HostUnreachable      Kind = "HostUnreachable"   // no answer, or 5xx or 429
	AddressBlocked       Kind = "AddressBlocked"    // an address that abide does not connect to
	FetchTimeout         Kind = "FetchTimeout"
	CertificateInvalid   Kind = "CertificateInvalid"
	AuthenticationFailed Kind = "AuthenticationFailed"
	RedirectRefused      Kind = "RedirectRefused"
	RepositoryNotFound   Kind = "RepositoryNotFound" // no index there, or no such repository in the registry
	RepositoryTooLarge   Kind = "RepositoryTooLarge" // the index, or the list of tags
	IndexInvalid         Kind = "IndexInvalid"
	ChartNotFound        Kind = "ChartNotFound"   // the index does not have it, or its archive is gone
	VersionInvalid       Kind = "VersionInvalid"  // no version, range or tag
	VersionNotFound      Kind = "VersionNotFound" // not there, or nothing in the range
	ChartTooLarge        Kind = "ChartTooLarge"
	ChartInvalid         Kind = "ChartInvalid" // an archive that is none, or no chart
	DigestMismatch       Kind = "DigestMismatch"
	UnexpectedAnswer     Kind = "UnexpectedAnswer" // anything else that a host answered
	CacheFailed          Kind = "CacheFailed"      // the disk
)

// Error is what went wrong with a chart or where it comes from. Its message is
// for people and holds no secret.
type Error struct {
	Kind Kind
	URL  string // of the repository, canonical, or as given without what may be secret
	// Problem says what failed and why; Hint says what to do. Both are parts
	// of a sentence; Hint may be empty.
	Problem string
	Hint    string
	Err     error // a cause with a type, or nil; its text is not for people
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

// Refused tells that the host answered and said no: what it once showed must
// not be read any longer with these credentials.
func (e *Error) Refused() bool {
	switch e.Kind {
	case AuthenticationFailed, RepositoryNotFound, CredentialsInvalid, InsecureTransport, URLInvalid:
		return true
	}
	return false
}

// NoAnswer tells that the host was not heard, so that trying it again may take
// as long as its time limit.
func (e *Error) NoAnswer() bool {
	return e.Kind == HostUnreachable || e.Kind == FetchTimeout
}

// IsKind tells whether err's tree holds an [Error] of that kind.
func IsKind(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

// ErrClosed is returned after [Store.Close].
var ErrClosed = errors.New("the chart store is closed")

func errorf(k Kind, url, hint, format string, args ...any) *Error {
	return &Error{Kind: k, URL: url, Hint: hint, Problem: fmt.Sprintf(format, args...)}
}

// because sets the cause and returns the same Error.
func (e *Error) because(err error) *Error {
	e.Err = err
	return e
}
