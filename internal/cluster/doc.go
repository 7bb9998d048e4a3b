// Package cluster is the only client of an API server: what reads or changes a
// cluster goes through it.
//
// A [Cluster] is one API server. Its [Client]s act as somebody: as the
// controller itself, or as the ServiceAccount "abide" of a namespace. All share
// their connections; none limits its rate, since the server's own priority and
// fairness does that better.
//
// What always holds: every change names the field manager "abide"; every delete
// carries the uid of the object that was meant; a dry run is the same request
// as the apply that follows it, but for the dry-run parameter.
package cluster
