package main

import "time"

// scenario is one shape and size of repository.
type scenario struct {
	name  string
	shape shape
	apps  int
	// probes is how many commits, drifts and foreign events are followed.
	probes int
	idle   time.Duration
	quick  bool // part of the quick run, and of no other
	long   bool // part of the long run only
}

// objects is how many there are in all.
func (s scenario) objects() int { return s.apps * len(s.shape.objects(0)) }

// probe says which object of which App the i-th probe is about. Where there are
// many Apps, each probe has an App of its own; in a single App each has an
// object of its own: an object that drifts over and over has to wait.
func (s scenario) probe(i int) (app, object int) {
	return i % s.apps, i / s.apps % len(s.shape.objects(0))
}

var scenarios = []scenario{
	{name: "1 App × 200 ConfigMaps", shape: manifests{200}, apps: 1, probes: 5, idle: 10 * time.Second, quick: true},
	{name: "50 Apps × 10 in a Kustomize monorepo", shape: overlays{10}, apps: 50, probes: 5, idle: 10 * time.Second, quick: true},

	{name: "1 App × 1,000 ConfigMaps", shape: manifests{1000}, apps: 1, probes: 20, idle: 20 * time.Second},
	{name: "100 Apps × 10 in a Kustomize monorepo", shape: overlays{10}, apps: 100, probes: 20, idle: 20 * time.Second},
	{name: "100 Apps × 4 from one library chart", shape: library{4}, apps: 100, probes: 20, idle: 20 * time.Second},
	{name: "500 Apps × 10 in a Kustomize monorepo", shape: overlays{10}, apps: 500, probes: 20, idle: time.Minute},
	{name: "1,000 Apps × 4 (Deployment, ServiceAccount, Service, Ingress)", shape: workloads{}, apps: 1000, probes: 20, idle: 20 * time.Second},
	{name: "2,000 Apps × 4 (Deployment, ServiceAccount, Service, Ingress)", shape: workloads{}, apps: 2000, probes: 20, idle: time.Minute, long: true},
}
