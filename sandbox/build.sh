#!/bin/sh
# Builds abide-sandbox: sandbox/build.sh [OUT]; OUT defaults to bin/abide-sandbox
# of the repository. The version of Kubernetes comes from go.mod; without it
# the API server's /version is not one that clients can parse.
set -eu
cd "$(dirname "$0")"
out=${1:-../bin/abide-sandbox}
export GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0
v=$(sed -n 's/^[[:space:]]*k8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' go.mod)
minor=${v#v1.}
minor=${minor%%.*}
p=k8s.io/component-base/version
mkdir -p "$(dirname "$out")"
go build -trimpath -ldflags "-s -w -X $p.gitVersion=$v -X $p.gitMajor=1 -X $p.gitMinor=$minor" -o "$out.new" ./cmd/abide-sandbox
mv "$out.new" "$out" # in one step, for whoever starts it meanwhile
