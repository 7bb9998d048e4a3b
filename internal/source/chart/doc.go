// Package chart finds and fetches Helm charts: from chart repositories (an
// index.yaml over https) and from OCI registries.
//
// [Store.Resolve] says which version of a chart a [Ref] means now, and by which
// digest; [Store.Fetch] gives the content of such a [Revision] as a
// [snapshot.Tree] whose root is the chart's folder. Both are safe for concurrent
// use, and who asks for the same at the same time shares one request. The Store
// has no timers and polls nothing: what calls it decides how often. That is a
// [Poller], which follows Refs and tells when they mean something else.
//
// # What is asked for
//
// The index of a repository is asked for with the ETag and the time of the copy
// at hand, so that an unchanged one costs a 304; the list of a registry's tags
// has no such means and is asked for page by page. Either, and a failure as
// well, is an answer for Options.FreshFor, for all charts of the repository,
// unless [Store.Expire] says otherwise. An exact version, tag or digest in a
// registry is one request for its manifest.
//
// # What is persisted
//
// Everything is below Options.Dir, which is a cache: it may be deleted whenever
// no Store uses it. Files have mode 0600 and come into being under their name in
// one step.
//
//	key                                     32 random bytes, see below
//	index-<reader>.json                     ETag and digest of the index
//	index-<reader>-<sha256>.yaml            the index as it came
//	archive-<repository>-<sha256>.tgz       an archive as it came
//
// <reader> is a keyed hash of the repository and the credentials it was read
// with. All files together are bounded by Limits.Disk; the one not used for the
// longest goes first. A file whose content has not the digest in its name is
// removed and fetched again. An index is read line by line: in memory is where
// each chart is in it, and the versions of the charts that were asked for. An archive
// is unpacked into memory only, and the trees last used are kept there.
//
// # What always holds
//
//   - Content is shared, access is not: what the Store holds is given to those
//     alone whose own credentials were shown that digest by that repository
//     since the Store was opened. A host that refuses the credentials ends that.
//     All others ask the host.
//   - Credentials and the client certificate go to the scheme, host and port of
//     the repository, and to the token endpoint that a registry names in its
//     challenge. They go elsewhere only with Credentials.PassCredentials, over
//     no plain http but to this machine itself, and are dropped when a redirect
//     leaves the host or port. No https is left for http.
//   - Every connection goes through package dialguard, which refuses addresses
//     that only this machine may reach, whatever name, redirect or answer of
//     DNS led there.
//   - Every answer is bounded in bytes, every call in time.
//   - Bytes are used only if they have the digest that was promised. Where an
//     index promises none, that of the archive as it came with this index counts.
//   - A Poller's last good revision stays through errors, and is read by those
//     identities alone that the repository accepted when it last answered.
//   - No error holds a secret, a query of a URL, or what a server wrote into a
//     body.
//
// The package decides nothing about who may use which credentials: package
// access does.
package chart
