package cli

import "testing"

func TestParseRun(t *testing.T) {
	f, err := parseRun(nil)
	if err != nil || f.options.Port != 0 || f.options.Nodes != 1 || f.options.Data != "" || f.exitWithStdin {
		t.Errorf("defaults: %+v, %v", f, err)
	}
	f, err = parseRun([]string{"--data", "d", "--port=8443", "--nodes", "0", "--audit-log", "a", "--verbose", "--exit-with-stdin"})
	o := f.options
	if err != nil || o.Data != "d" || o.Port != 8443 || o.Nodes != 0 || o.AuditLog != "a" || !o.Verbose || !f.exitWithStdin {
		t.Errorf("all flags: %+v, %v", f, err)
	}
}

func TestParseKubeconfig(t *testing.T) {
	f, err := parseKubeconfig([]string{"--data", "d", "--user", "u", "--group", "a,b", "--group", "c"})
	if err != nil || f.data != "d" || f.user != "u" || len(f.groups) != 2 || f.groups[0] != "a,b" {
		t.Errorf("got %+v, %v; a comma may be part of a group's name", f, err)
	}
}

func TestCheckBuild(t *testing.T) {
	if err := checkBuild("1"); err != nil {
		t.Error(err)
	}
	for _, major := range []string{"", "0"} {
		if checkBuild(major) == nil {
			t.Errorf("major version %q: no error", major)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/tmp/a-b_1.c": "/tmp/a-b_1.c",
		"/tmp/a b":     "'/tmp/a b'",
		"it's":         `'it'\''s'`,
		"$(id)":        "'$(id)'",
		"":             "''",
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}
