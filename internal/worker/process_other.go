//go:build unix && !linux

package worker

import "syscall"

// attributes puts the child into a session of its own.
func attributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// keepDescriptors does nothing: there is no call for it.
func keepDescriptors() {}

// canIsolate tells whether the platform may let a child have namespaces.
const canIsolate = false

// anonymous cannot be told here: the child looks at itself.
func anonymous(int) (int64, bool) { return 0, false }

func memoryOfContainer() (int64, bool) { return 0, false }
