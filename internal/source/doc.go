// Package source follows refs of remote repositories for Apps: where each ref
// points, the commit fetched, and its tree to read.
//
// A [Hub] groups Apps by URL and identity of credentials. A group is looked at
// once per interval with one ls-remote, however many Apps it has and whatever
// refs they follow; what moved, and nothing else, is fetched into the one
// mirror that all groups of the URL share. Content is shared, access is not:
//
//   - an App is given only commits that its own group saw, so a commit that
//     others fetched with their credentials does not show itself;
//   - when a remote refuses a group's credentials, the group's Apps read
//     nothing more, although the mirror has it;
//   - when a remote does not answer, what the group last saw stays readable.
//
// The last good state of an App is kept through every error. The package
// persists nothing but the mirrors' cache, so after a restart an App reads
// again when its group was listed again.
//
// The number of git processes is bounded, per host as well, and hosts that do
// not answer share half of the bound, so that they cannot stop the others.
package source
