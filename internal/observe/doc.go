// Package observe watches the objects that abide manages and reduces each to a
// small [Record] at once: who owns it, its fingerprint, its health. Full
// objects are not kept, but for the few that changed under somebody else's hand
// and whose App has not yet looked at them, so that a heal can say what
// differed without reading the object again.
//
// There is one watch per kind (and version) in use, on all namespaces, filtered
// by the label abide.dev/app. The label is a filter, not the proof: a record is
// made only of an object whose owner annotation agrees with it. An object that
// loses the label arrives as deleted; so a missing record never proves that an
// object is gone.
//
// An App is told (through the notify function) when something of its objects
// changed that can matter to it: the fingerprint, the health, the uid, the
// owner, or that it came or went. An event that changes none of these costs a
// hash.
//
// Health is told by the rules in force: those of the object's App before those for
// all. Since objects are not kept, a change of the rules has those of the kinds
// that it concerns read again: for all Apps by a new watch in the place of the one
// there is, for one App by a list of its objects, by its label. An App is told that
// a kind of its is not there yet while that is under way, so that it does not take
// what the rules before said for what they say now.
package observe
