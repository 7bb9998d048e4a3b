//go:build linux && !amd64 && !arm64

package worker

import "errors"

// filterCalls has no list of the calls of this architecture.
func filterCalls() error { return errors.New("not for this architecture") }
