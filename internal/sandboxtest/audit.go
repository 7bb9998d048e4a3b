package sandboxtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

// Stages of an AuditEvent. Every request has one event with StageComplete,
// written when it is answered, before the client can go on; a watch has one
// with StageStarted first, and its complete one when it ends.
const (
	StageStarted  = "ResponseStarted"
	StageComplete = "ResponseComplete"
)

// AuditEvent is one line of the audit log.
type AuditEvent struct {
	ID           string // same for all stages of a request
	User         string // empty if authentication failed
	Impersonated string // the user acted for, if any
	UserAgent    string
	URI          string
	Verb         string // get, list, watch, create, update, patch, delete, deletecollection; in lower case
	Group        string // API group; empty for the core group
	Resource     string // plural; empty for a URL that is no resource
	Subresource  string
	Namespace    string
	Name         string
	Stage        string
	Code         int // HTTP status
	Received     time.Time
	Staged       time.Time // when Stage was reached
}

// Requests are the events of user in the order in which they were written. A
// request is in the log before its client has the whole answer. User "" means
// everybody.
func (s *Sandbox) Requests(t testing.TB, user string) []AuditEvent {
	t.Helper()
	f, err := os.Open(s.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events, err := readAudit(f, user)
	if err != nil {
		t.Fatalf("%s: %v", s.AuditLog, err)
	}
	return events
}

type auditLine struct {
	AuditID    string
	Stage      string
	RequestURI string
	Verb       string
	UserAgent  string
	User       struct{ Username string }

	ImpersonatedUser *struct{ Username string }
	ObjectRef        struct {
		Resource, Subresource, Namespace, Name string

		APIGroup string
	}
	ResponseStatus           struct{ Code int }
	RequestReceivedTimestamp time.Time
	StageTimestamp           time.Time
}

func readAudit(r io.Reader, user string) ([]AuditEvent, error) {
	var events []AuditEvent
	br := bufio.NewReader(r)
	for n := 1; ; n++ {
		b, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil // what has no end yet is still being written
		}
		if err != nil {
			return nil, err
		}
		var l auditLine
		if err := json.Unmarshal(b, &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if user != "" && l.User.Username != user {
			continue
		}
		e := AuditEvent{
			ID: l.AuditID, User: l.User.Username, UserAgent: l.UserAgent, URI: l.RequestURI,
			Verb: l.Verb, Group: l.ObjectRef.APIGroup, Resource: l.ObjectRef.Resource, Subresource: l.ObjectRef.Subresource,
			Namespace: l.ObjectRef.Namespace, Name: l.ObjectRef.Name,
			Stage: l.Stage, Code: l.ResponseStatus.Code,
			Received: l.RequestReceivedTimestamp, Staged: l.StageTimestamp,
		}
		if l.ImpersonatedUser != nil {
			e.Impersonated = l.ImpersonatedUser.Username
		}
		events = append(events, e)
	}
}
