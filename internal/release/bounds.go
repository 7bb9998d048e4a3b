package release

import (
	"encoding/json"
	"strings"

	"abide.dev/abide/api/v1alpha1"
)

// The bounds of a record. Sizes are bytes.
const (
	// MaxRecord is the size of a record as JSON.
	MaxRecord = 280 << 10
	// MaxObjects, MaxHooks, MaxFields, MaxGates and MaxHeals are those of the
	// definition.
	MaxObjects = 1000
	MaxHooks   = 256
	MaxFields  = 20
	MaxGates   = 16
	MaxHeals   = 20

	maxName    = 640 // kind, group, namespace and name of an object
	maxMessage = 1024
	maxNote    = 512 // the message of one object or hook
	maxWord    = 128
	maxPath    = 256
	maxValue   = 256
)

// shortened ends the message of a record that is not whole.
const shortened = " (the record was too long, and details are left out)"

// bounded returns a copy of a record that fits into one object of the API. What
// it leaves out first is what is missed least: fields, then messages, then the
// last objects and hooks. Counts are kept.
func bounded(in *v1alpha1.ReleaseSpec) (*v1alpha1.ReleaseSpec, error) {
	r := in.DeepCopy()
	boundTexts(r)
	r.Plan.Objects = first(r.Plan.Objects, MaxObjects)
	r.Hooks = first(r.Hooks, MaxHooks)
	r.Gates = first(r.Gates, MaxGates)
	r.Heals = last(r.Heals, MaxHeals)
	for i := range r.Plan.Objects {
		boundObject(&r.Plan.Objects[i])
	}
	for i := range r.Heals {
		h := &r.Heals[i]
		cut(&h.Object, maxName)
		cut(&h.By, maxWord)
		h.Fields = boundFields(h.Fields, MaxFields, maxValue)
	}
	for i := range r.Hooks {
		h := &r.Hooks[i]
		cut(&h.Hook, maxName)
		cut(&h.Object, maxName)
		cut(&h.When, maxWord)
		cut(&h.Message, maxNote)
	}
	for i := range r.Gates {
		g := &r.Gates[i]
		cut(&g.Gate, maxWord)
		cut(&g.By, maxPath)
		cut(&g.Reason, maxMessage)
		cut(&g.Message, maxMessage)
	}
	return fit(r)
}

func boundTexts(r *v1alpha1.ReleaseSpec) {
	cut(&r.DesiredHash, maxWord)
	cut(&r.By, maxPath)
	cut(&r.Message, maxMessage)
	cut(&r.Plan.Digest, maxWord)
	src := &r.Source
	for _, t := range []*string{&src.Commit, &src.Renderer, &src.ChartDigest} {
		cut(t, maxWord)
	}
	for _, t := range []*string{&src.Ref, &src.Revision, &src.Author, &src.Committer, &src.Subject, &src.Chart} {
		cut(t, maxNote)
	}
	for i := range src.Others {
		o := &src.Others[i]
		cut(&o.Name, maxPath)
		cut(&o.Commit, maxWord)
		cut(&o.Revision, maxNote)
	}
}

func boundObject(o *v1alpha1.ReleaseObject) {
	cut(&o.Object, maxName)
	cut(&o.Action, maxWord)
	cut(&o.Result, maxWord)
	cut(&o.Message, maxNote)
	if n := int32(len(o.Fields)); o.FieldCount < n {
		o.FieldCount = n
	}
	o.Fields = boundFields(o.Fields, MaxFields, maxValue)
}

func boundFields(list []v1alpha1.FieldChange, most, value int) []v1alpha1.FieldChange {
	list = first(list, most)
	for i := range list {
		cut(&list[i].Path, maxPath)
		cut(&list[i].From, value)
		cut(&list[i].To, value)
	}
	return list
}

// fit leaves out details until the record is small enough.
func fit(r *v1alpha1.ReleaseSpec) (*v1alpha1.ReleaseSpec, error) {
	steps := []func(){
		func() { eachFields(r, 3, 64) },
		func() { eachFields(r, 0, 0) },
		func() { eachMessage(r, 80) },
	}
	for step := 0; ; step++ {
		text, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		if len(text) <= MaxRecord {
			return r, nil
		}
		if !strings.HasSuffix(r.Message, shortened) {
			cut(&r.Message, maxMessage-len(shortened))
			r.Message += shortened
		}
		if step < len(steps) {
			steps[step]()
			continue
		}
		if n := len(r.Plan.Objects); n > 0 {
			r.Plan.Objects = first(r.Plan.Objects, n*3/4)
			continue
		}
		// What is not on record of hooks would run again after a restart.
		r.Hooks = last(r.Hooks, max(len(r.Hooks)*3/4, min(len(r.Hooks), 1)))
	}
}

func eachFields(r *v1alpha1.ReleaseSpec, most, value int) {
	for i := range r.Plan.Objects {
		r.Plan.Objects[i].Fields = boundFields(r.Plan.Objects[i].Fields, most, value)
	}
	for i := range r.Heals {
		r.Heals[i].Fields = boundFields(r.Heals[i].Fields, most, value)
	}
}

func eachMessage(r *v1alpha1.ReleaseSpec, most int) {
	for i := range r.Plan.Objects {
		cut(&r.Plan.Objects[i].Message, most)
	}
	for i := range r.Hooks {
		cut(&r.Hooks[i].Message, most)
	}
}

func first[T any](list []T, most int) []T {
	if most == 0 {
		return nil
	}
	return list[:min(len(list), most)]
}

func last[T any](list []T, most int) []T { return list[max(0, len(list)-most):] }

// cut makes a text valid and at most so many bytes long, between two characters.
func cut(t *string, most int) {
	s := strings.ToValidUTF8(*t, "\uFFFD")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:max(0, most-len("…"))], "") + "…"
	}
	*t = s
}
