package git

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"abide.dev/abide/internal/source/git/gate"
)

// settings is configuration for every git process, in the place where git
// lets nothing but the command line override it.
var settings = [][2]string{
	{"core.hooksPath", os.DevNull},
	{"core.fsmonitor", "false"},
	{"core.askPass", ""},
	{"core.attributesFile", os.DevNull},
	{"core.bigFileThreshold", "8m"}, // larger blobs are streamed, not held in memory
	{"core.deltaBaseCacheLimit", "16m"},
	{"core.packedGitLimit", "256m"},
	{"pack.threads", "1"},
	{"pack.windowMemory", "32m"},
	{"pack.deltaCacheSize", "16m"},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"protocol.version", "2"},
	{"protocol.allow", "never"},
	{"credential.helper", ""},
	{"transfer.fsckObjects", "true"},
	{"fetch.fsckObjects", "true"},
	{"fetch.recurseSubmodules", "false"},
	{"fetch.writeCommitGraph", "false"},
	{"fetch.bundleURI", ""},
	{"transfer.bundleURI", "false"},
	{"transfer.credentialsInUrl", "die"},
	{"submodule.recurse", "false"},
	{"http.followRedirects", "false"},
	{"http.sslVerify", "true"},
	{"http.delegation", "none"},
	{"http.lowSpeedLimit", "1"},
	{"http.userAgent", "abide"},
	{"ssh.variant", "ssh"},
}

// harmless lists what git's checks of fetched objects find in the history of
// honest repositories, or in files that only matter to a checkout with
// submodules. Everything else keeps git's own severity.
var harmless = []string{
	"badDate", "badDateOverflow", "badEmail", "badName", "badTimezone", "missingEmail", "missingNameBeforeEmail",
	"missingSpaceBeforeDate", "missingSpaceBeforeEmail", "missingTaggerEntry", "multipleAuthors",
	"zeroPaddedDate", "zeroPaddedFilemode",
	"gitmodulesBlob", "gitmodulesLarge", "gitmodulesMissing", "gitmodulesName", "gitmodulesParse",
	"gitmodulesPath", "gitmodulesSymlink", "gitmodulesUpdate", "gitmodulesUrl",
}

// environment builds the whole environment of a git process. gitDir may be
// empty for a process that needs no repository, way nil for one that connects to
// nothing or through a proxy of its own.
func (s *Store) environment(u URL, c Credentials, gitDir string, way *gate.Pass) ([]string, error) {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + filepath.Join(s.private, "home"),
		"XDG_CONFIG_HOME=" + filepath.Join(s.private, "home"),
		"TMPDIR=" + s.private,
		"LC_ALL=C",
		"LANGUAGE=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_SYSTEM=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=",
		"SSH_ASKPASS=",
		"GIT_CEILING_DIRECTORIES=" + filepath.Dir(s.private), // a repository around the cache is not ours
		"GIT_NO_LAZY_FETCH=1",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_ADVICE=0",
		"GIT_ALLOW_PROTOCOL=" + u.scheme, // this one only, whatever protocol.* says
		"GIT_PROTOCOL_FROM_USER=0",
	}
	pairs := append([][2]string(nil), settings...)
	for _, id := range harmless {
		pairs = append(pairs, [2]string{"fetch.fsck." + id, "ignore"}, [2]string{"fsck." + id, "ignore"})
	}
	if gitDir != "" {
		env = append(env, "GIT_DIR="+gitDir)
		pairs = append(pairs, [2]string{"safe.directory", gitDir})
	}
	global := os.DevNull
	switch u.scheme {
	case "file":
		// The server side of a local fetch drops GIT_CONFIG_COUNT and reads
		// safe.directory from a file only.
		name, err := s.privateFile("local", "[safe]\n\tdirectory = "+quoteConfig(u.path)+
			"\n\tdirectory = "+quoteConfig(filepath.Join(u.path, ".git"))+"\n[core]\n\thooksPath = "+os.DevNull+"\n")
		if err != nil {
			return nil, err
		}
		global = name
	case "ssh":
		env = append(env, "GIT_SSH="+s.sshProgram, "GIT_SSH_VARIANT=ssh")
	case "https", "http":
		if h := c.authorization(); h != "" {
			// The last "/" ends the host: the header goes to no other.
			pairs = append(pairs, [2]string{"http." + u.scheme + "://" + u.host + "/.extraHeader", "Authorization: " + h})
		}
		if c.Proxy != "" {
			pairs = append(pairs, [2]string{"http.proxy", c.Proxy})
		} else if way != nil {
			pairs = append(pairs, [2]string{"http.proxy", way.URL()})
		}
		if c.CABundle != "" {
			name, err := s.privateFile("ca", c.CABundle)
			if err != nil {
				return nil, err
			}
			pairs = append(pairs, [2]string{"http.sslCAInfo", name})
		}
	}
	pairs = append(pairs, [2]string{"http.lowSpeedTime", strconv.Itoa(int(max(1, s.limits.StallTimeout.Seconds())))})
	env = append(env, "GIT_CONFIG_GLOBAL="+global, "GIT_CONFIG_COUNT="+strconv.Itoa(len(pairs)))
	for i, p := range pairs {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+p[0], "GIT_CONFIG_VALUE_"+n+"="+p[1])
	}
	return env, nil
}

// quoteConfig quotes a value for a git configuration file. It has no line
// breaks; ParseURL saw to that.
func quoteConfig(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// privateFile writes content, which is no secret, to a file named by its hash
// and returns its path.
func (s *Store) privateFile(kind, content string) (string, error) {
	sum := sha256.Sum256([]byte(content))
	name := filepath.Join(s.private, kind+"-"+hex.EncodeToString(sum[:12]))
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	if err := writeFile(name, []byte(content)); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return name, nil
}

// writeFile replaces the file at name in one step.
func writeFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
