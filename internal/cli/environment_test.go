package cli

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestFlagsHaveTwinsInTheEnvironment(t *testing.T) {
	env := map[string]string{"ABIDE_CACHE_DIR": "/cache", "ABIDE_LEADER_ELECT": "true", "ABIDE_LOG_LEVEL": "debug"}
	lookup := func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	dir := f.String("cache-dir", "", "")
	elect := f.Bool("leader-elect", false, "")
	level := f.String("log-level", "info", "")
	if err := f.Parse([]string{"--log-level=warn"}); err != nil {
		t.Fatal(err)
	}
	if err := fromEnvironment(f, lookup); err != nil {
		t.Fatal(err)
	}
	if *dir != "/cache" || !*elect {
		t.Errorf("got %q and %v", *dir, *elect)
	}
	if *level != "warn" {
		t.Errorf("the command line must win, and the level is %q", *level)
	}

	env["ABIDE_LEADER_ELECT"] = "perhaps"
	f.Lookup("leader-elect").Changed = false
	if err := fromEnvironment(f, lookup); err == nil || !strings.Contains(err.Error(), "ABIDE_LEADER_ELECT=perhaps") {
		t.Errorf("a wrong value passed, or is not named: %v", err)
	}
}
