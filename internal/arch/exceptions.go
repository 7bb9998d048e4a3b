package arch

// Exception lets one file, or what lies below one folder, break one rule.
type Exception struct {
	Rule   string
	Path   string
	Reason string
}

// Exceptions are all of them.
var Exceptions = []Exception{
	{"one place runs programs", "internal/source", "git is a program"},
	{"one place runs programs", "internal/gitserver", "it serves repositories with git http-backend"},
	{"one place runs programs", "internal/cli", "abide up starts the sandbox"},
	{"one place runs programs", "internal/engine", "abide up starts the sandbox"},
	{"one place runs programs", "internal/worker", "it starts abide itself, bounded, to render in"},
	{"context comes from the caller", "internal/worker/child.go", "abide runs it as a program of its own: here the context of a render begins"},
	{"context comes from the caller", "internal/cli/cli.go", "its Main is all of main: here the context of the command begins"},
	{"context comes from the caller", "internal/source/git/sshclient", "git runs it as a program of its own"},
	{"context comes from the caller", "internal/source/git/store.go", "maintenance outlives the call that starts it and ends with Close"},
	{"no context in a struct", "internal/source/git/store.go", "the same context, whose end is Close"},
	{"no weak randomness", "internal/source/hub.go", "jitter between polls"},
	{"no weak randomness", "internal/pipeline/memory.go", "jitter between retries"},
}

// Allowed reports whether an exception to rule covers v.
func Allowed(rule Rule, v Violation, exceptions []Exception) bool {
	for _, e := range exceptions {
		if e.Rule == rule.Name && within(v.key, e.Path) {
			return true
		}
	}
	return false
}
