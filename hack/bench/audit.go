package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"abide.dev/abide/api/v1alpha1"
)

// request is one request of the controller, as the API server logged it.
type request struct {
	verb     string
	group    string
	resource string // with its subresource
	own      bool   // what abide keeps of releases and of its audit log, in kinds of Kubernetes
	dryRun   bool
	code     int
	at       time.Time // when it was answered; for a watch, when it began
}

// auditLog reads the controller's requests as they are written.
type auditLog struct {
	file     string
	offset   int64
	requests []request
}

// read takes in what was written since, and returns how many requests there are
// now.
func (a *auditLog) read() (int, error) {
	f, err := os.Open(a.file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.Seek(a.offset, io.SeekStart); err != nil {
		return 0, err
	}
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // a line without its end is still being written
			return len(a.requests), nil
		}
		if err != nil {
			return 0, err
		}
		a.offset += int64(len(line))
		if !bytes.Contains(line, []byte(user)) { // most lines are others'
			continue
		}
		if err := a.add(line); err != nil {
			return 0, fmt.Errorf("audit log: %w", err)
		}
	}
}

func (a *auditLog) add(line []byte) error {
	var e struct {
		Stage, Verb, RequestURI string
		User                    struct{ Username string }
		ObjectRef               struct{ Resource, Subresource, APIGroup, Name string }
		ResponseStatus          struct{ Code int }
		StageTimestamp          time.Time
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	// A watch has two lines: one as it begins, and one as it ends.
	stage := "ResponseComplete"
	if e.Verb == "watch" {
		stage = "ResponseStarted"
	}
	if e.User.Username != user || e.Stage != stage {
		return nil
	}
	r := request{
		verb: e.Verb, group: e.ObjectRef.APIGroup, resource: e.ObjectRef.Resource,
		own:    strings.HasPrefix(e.ObjectRef.Name, "abide-manifests-") || e.ObjectRef.Name == "abide-release-key" || e.ObjectRef.Name == "abide-audit-head",
		dryRun: strings.Contains(e.RequestURI, "dryRun="), code: e.ResponseStatus.Code, at: e.StageTimestamp,
	}
	if r.resource == "" {
		r.resource, _, _ = strings.Cut(e.RequestURI, "?")
	}
	if e.ObjectRef.Subresource != "" {
		r.resource += "/" + e.ObjectRef.Subresource
	}
	// A watch that starts with what is there is a list as well.
	if r.verb == "watch" && strings.Contains(e.RequestURI, "sendInitialEvents=true") {
		r.verb = "list and watch"
	}
	a.requests = append(a.requests, r)
	return nil
}

// about tells what a request is about.
func (r request) about() about {
	switch {
	case r.group == v1alpha1.Group && strings.HasPrefix(r.resource, repositories.Resource):
		return aboutRepository
	case r.group == v1alpha1.Group, r.resource == "events", r.own:
		return aboutApp
	}
	return aboutObject
}

type about int

const (
	aboutObject     about = iota // an object from Git
	aboutApp                     // the records of an App and of its ref, Events among them
	aboutRepository              // the status of a Repository, which answers a refresh
)

// asks tells whether it is a request of one kind, watches left out: they last.
func (a about) asks(r request) bool { return r.about() == a && !r.watch() }

// writes tells whether it is a write of one kind.
func (a about) writes(r request) bool { return r.about() == a && r.write() }

func (r request) write() bool {
	switch r.verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

func (r request) watch() bool { return strings.HasSuffix(r.verb, "watch") }

func (r request) list() bool { return strings.HasPrefix(r.verb, "list") }

// String is the request as tables name it.
func (r request) String() string {
	s := r.verb + " " + r.resource
	if r.dryRun {
		s += " (dry run)"
	}
	if r.code >= 400 {
		s += fmt.Sprintf(" → %d", r.code)
	}
	return s
}

// tally counts requests.
type tally []request

func (t tally) count(which func(request) bool) int {
	n := 0
	for _, r := range t {
		if which(r) {
			n++
		}
	}
	return n
}

// byName counts them by verb and resource.
func (t tally) byName() map[string]int {
	out := map[string]int{}
	for _, r := range t {
		out[r.String()]++
	}
	return out
}

// last is when the last one that which says yes to was answered; zero without.
func (t tally) last(which func(request) bool) time.Time {
	var at time.Time
	for _, r := range t {
		if which(r) && r.at.After(at) {
			at = r.at
		}
	}
	return at
}
