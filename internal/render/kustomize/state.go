package kustomize

import (
	"context"

	"golang.org/x/sync/semaphore"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// The library keeps its OpenAPI schema in variables of the package
// kyaml/openapi, for the whole process. Parsing the built-in one costs tens of
// milliseconds and more, a build one or two; a kustomization with an `openapi`
// field replaces it for every build that follows. So:
//
//   - ordinary builds share the gate, after the built-in schema was parsed
//     once. They only read it from then on and may run side by side.
//   - a build with an `openapi` field has the gate for itself, begins with the
//     state of a new process, and leaves that state behind.
var gate = struct {
	*semaphore.Weighted
	parsed bool // the built-in schema is there; changed with the whole gate held
}{Weighted: semaphore.NewWeighted(gateWhole)}

const gateWhole = 1 << 20

// ordinary runs build among others that have no schema of their own.
func ordinary(ctx context.Context, build func()) error {
	for {
		if err := gate.Acquire(ctx, 1); err != nil {
			return err
		}
		if gate.parsed {
			defer gate.Release(1)
			build()
			return nil
		}
		gate.Release(1)
		if err := parseBuiltin(ctx); err != nil {
			return err
		}
	}
}

// parseBuiltin makes the library parse its built-in schema.
func parseBuiltin(ctx context.Context) error {
	if err := gate.Acquire(ctx, gateWhole); err != nil {
		return err
	}
	defer gate.Release(gateWhole)
	if gate.parsed {
		return nil
	}
	openapi.ResetOpenAPI()
	openapi.Schema()
	gate.parsed = true
	return nil
}

// alone runs a build that changes the schema, in the state of a new process.
func alone(ctx context.Context, build func()) error {
	if err := gate.Acquire(ctx, gateWhole); err != nil {
		return err
	}
	defer gate.Release(gateWhole)
	gate.parsed = false
	openapi.ResetOpenAPI()
	defer openapi.ResetOpenAPI()
	build()
	return nil
}
