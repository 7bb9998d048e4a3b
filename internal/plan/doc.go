// Package plan decides what has to be done to bring an App to its desired
// state, and says whether that may be done without asking. It reads nothing
// and changes nothing: [Compute] is a function of values.
//
// A plan is made of [Step]s, at most one for an object; an object that is as
// it should be has none. Its [Plan.Digest] covers the App, and of each step that
// changes something the object, the kind of change, the desired hash and the
// fingerprint before, and nothing else: an approval of a digest stays good for as long as exactly that
// would be done.
//
// What always holds:
//
//   - An object is deleted only if the inventory has it, it is not desired, and
//     what is observed does not say that another App owns it.
//   - An object that another App owns is taken only if that App has let go of it.
//   - A plan that deletes more than the budget, or anything of a protected kind,
//     has a gate.
package plan
