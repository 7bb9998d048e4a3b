// Package controller joins the pipeline to the Kubernetes API: what wakes an
// App, what a run of it needs to know, and what is written when it is over.
//
// Everything that can wake an App ends in the one work queue of the App
// controller: a change of its spec, of a Pause or an Approval, of the
// Repository or Secret it reads through; a ref that moved; an object that
// changed; another App that was judged. The queue holds an App once, however
// often it is woken, and never lets two runs of one App overlap.
//
// Health rules are in force before the first watch starts, and from then on as
// HealthRules and Apps change; the tracker wakes the Apps whose objects are told
// otherwise by them.
//
// The status of an App is written at most once in a run, after it, and not at
// all if it would say the same; a run with a lot to do says so once at its
// start.
package controller
