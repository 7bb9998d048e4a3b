package health

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// BenchmarkOf is what each event of a watch and each item of a list costs here.
// "kstatus" is the same object by an evaluator without rules.
func BenchmarkOf(b *testing.B) {
	shipped, bare := NewEvaluator(Shipped()), NewEvaluator(Rules{})
	all := specimens(b)
	pick := func(file string, n int) *unstructured.Unstructured { return all[file][n].object }
	for _, c := range []struct {
		name   string
		object *unstructured.Unstructured
	}{
		{"ConfigMap", object(b, `{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}`)},
		{"unknown kind", object(b, `{apiVersion: example.com/v1, kind: X, metadata: {name: c, generation: 1}, status: {observedGeneration: 1, conditions: [{type: Ready, status: "True"}]}}`)},
		{"Deployment", pick("kubernetes.yaml", 0)},
		{"crashing Pod", object(b, `{apiVersion: v1, kind: Pod, metadata: {name: p}, status: {phase: Running, containerStatuses: [{name: c, state: {waiting: {reason: CrashLoopBackOff}}}]}}`)},
		{"Certificate", pick("cert-manager.yaml", 0)},
		{"Kustomization", pick("flux.yaml", 0)},
	} {
		for _, e := range []struct {
			name string
			*Evaluator
		}{{"rules", shipped}, {"kstatus", bare}} {
			b.Run(c.name+"/"+e.name, func(b *testing.B) {
				e.Of(c.object) // compiled before
				b.ReportAllocs()
				for b.Loop() {
					e.Of(c.object)
				}
			})
		}
	}
}

// BenchmarkCompile is what the first object of a kind costs: its rules are
// compiled.
func BenchmarkCompile(b *testing.B) {
	u := specimens(b)["kubernetes.yaml"][0].object
	b.ReportAllocs()
	for b.Loop() {
		rules, err := readShipped()
		if err != nil {
			b.Fatal(err)
		}
		NewEvaluator(rules).Of(u)
	}
}
