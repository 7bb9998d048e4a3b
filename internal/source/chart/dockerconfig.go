package chart

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
)

// dockerConfig is the part of a docker configuration that holds credentials:
// by the address of a registry, as people and tools write it.
type dockerConfig struct {
	logins map[string]login
}

// maxDockerConfig is as large as a Secret can be.
const maxDockerConfig = 1 << 20

// parseDockerConfig reads .dockerconfigjson, or the older form without "auths".
// Its errors quote nothing of the content.
func parseDockerConfig(text string) (dockerConfig, error) {
	if len(text) > maxDockerConfig {
		return dockerConfig{}, errors.New("it is larger than 1 MiB")
	}
	type entry struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	}
	var file struct {
		Auths map[string]entry `json:"auths"`
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return dockerConfig{}, errors.New("it is no JSON of that form")
	}
	if file.Auths == nil {
		if err := json.Unmarshal([]byte(text), &file.Auths); err != nil || len(file.Auths) == 0 {
			return dockerConfig{}, errors.New(`it has no "auths"`)
		}
	}
	d := dockerConfig{logins: make(map[string]login, len(file.Auths))}
	for address, e := range file.Auths {
		l := login{username: e.Username, password: e.Password, bearer: e.RegistryToken, refresh: e.IdentityToken}
		if e.Auth != "" && l.username == "" && l.password == "" {
			raw, err := base64.StdEncoding.DecodeString(e.Auth)
			if err != nil {
				raw, err = base64.RawStdEncoding.DecodeString(e.Auth)
			}
			user, password, ok := strings.Cut(strings.TrimRight(string(raw), "\x00"), ":")
			if err != nil || !ok {
				return dockerConfig{}, errors.New(`an "auth" in it is not the base64 of USER:PASSWORD`)
			}
			l.username, l.password = user, password
		}
		if strings.ContainsAny(l.username+l.password+l.bearer+l.refresh, "\r\n\x00") {
			return dockerConfig{}, errors.New("a name, password or token in it has a line break")
		}
		if l.username == "<token>" || l.username == "00000000-0000-0000-0000-000000000000" && l.refresh != "" {
			l.username, l.password = "", "" // the token is what counts
		}
		d.logins[address] = l
	}
	return d, nil
}

// lookup returns the entry for a host that covers the path best: as in the
// pulling of images, an entry holds for its host and for its path and what is
// below, and "*" in it stands for one label of the host's name.
func (d dockerConfig) lookup(host, repository string) login {
	var best login
	longest := -1
	for _, address := range slices.Sorted(maps.Keys(d.logins)) {
		l := d.logins[address]
		pattern, prefix := splitAddress(address)
		if !hostMatches(pattern, host) {
			continue
		}
		below := prefix == "" || repository == prefix || strings.HasPrefix(repository, prefix+"/")
		length := 2 * len(prefix)
		if !strings.Contains(pattern, "*") {
			length++ // the very name wins over a pattern
		}
		if below && length > longest {
			best, longest = l, length
		}
	}
	return best
}

// splitAddress cuts an address into host and path. The path that docker login
// writes for the API means the whole host.
func splitAddress(address string) (host, prefix string) {
	for _, scheme := range []string{"https://", "http://", "oci://"} {
		address = strings.TrimPrefix(address, scheme)
	}
	host, prefix, _ = strings.Cut(strings.TrimRight(address, "/"), "/")
	if prefix == "v1" || prefix == "v2" {
		prefix = ""
	}
	if prefix != "" {
		prefix = "/" + prefix
	}
	return registryHost(strings.ToLower(host)), prefix
}

func hostMatches(pattern, host string) bool {
	host = registryHost(host)
	if pattern == host {
		return true
	}
	pattern, host = strings.TrimSuffix(pattern, ":443"), strings.TrimSuffix(host, ":443")
	p, h := strings.Split(pattern, "."), strings.Split(host, ".")
	if len(p) != len(h) {
		return false
	}
	if _, port, err := net.SplitHostPort(host); err == nil && !strings.HasSuffix(pattern, ":"+port) {
		return false // "*" does not stand for a port
	}
	for i := range p {
		if ok, err := path.Match(p[i], h[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
