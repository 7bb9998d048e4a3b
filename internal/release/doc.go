// Package release keeps what became of every attempt to bring an App to a
// desired state, and what was rendered for it, in the Kubernetes API.
//
// # What is kept
//
// A Release, APP-NUMBER in the App's namespace, with the label
// abide.dev/release-of, is the record of one attempt. A Release that has another
// name than its spec says is a copy or a backup, and is passed over. Numbers
// count from 1; they are never used twice, also when an App is deleted and comes
// back. A record is bounded: [Store.Write] shortens texts and, when it is still
// larger than [MaxRecord], leaves out fields of objects and heals, then messages,
// then objects, and says so in the record's message.
//
// The manifests of a release are what was rendered, normalised, hooks included,
// in groups of a few dozen objects that hang on the keys of the objects, so that a
// change of one object leaves most groups of a large App as they were. Hooks are all in
// the first: they run in the order in which they are kept. A group is
// lines of JSON under a first line
//
//	{"format":1,"app":"NAMESPACE/NAME","objects":2,"hooks":1}
//
// with the objects first and then the hooks, each in the order given, compressed
// with gzip and cut into parts of at most [PartSize] bytes. Each part is a Secret
// of abide's own namespace, immutable, of the type abide.dev/manifests, with the
// bytes under the key manifests and the App in the annotation
// abide.dev/manifests-of. Its name,
//
//	abide-manifests-APP-CONTENT
//
// holds a hash of the App and a hash of the part: HMAC-SHA-256, so that whoever
// may see the name of a Secret can't try guesses of what is in it. Equal content
// is one Secret, however many releases of the App name it. The names a release
// has, in order, are its spec.manifests. The key is in the Secret
// abide-release-key, made when it is first needed; the short hashes that stand
// for values of Secrets in records are made with it too, so that they compare
// between releases. If it is lost, manifests kept until then can't be verified
// any more, and are not used.
//
// # Life of an entry
//
// [Store.Keep] writes manifests, [Store.Write] the record that names them: in
// that order, so that a record never names what was not there. A record is
// written again while its release runs and when one of its objects is healed.
// [Store.Trim] removes the oldest beyond the App's limit, the record first and
// then the manifests that no other record of the App names. Releases have no owner
// reference: they stay for [Outlive] after their App is gone. The annotation
// abide.dev/gone-since of the newest tells since when that is so, and
// [Store.Sweep] removes them after it. What a crash between two of these requests
// leaves behind are Secrets that nobody names: Sweep finds them by their label.
//
// # Who does what
//
// One abide writes, and for one App one goroutine at a time calls Keep, Write and
// Trim; all else can be called at any time. Of every release the Store holds in
// memory its number, outcome, hash and the names of its manifests, about a hundred
// bytes; records are read from the API. Memory changes after the API has.
//
// The package does not decide when a release begins or what its outcome is, and
// never applies anything.
package release
