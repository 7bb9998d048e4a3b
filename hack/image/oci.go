package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
)

// Media types and file names are those of the OCI image specification 1.1; the
// manifest.json beside them is what docker load reads.
const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// config is what the image says of itself.
type config struct {
	Architecture string
	Tag          string
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type imageConfig struct {
	platform
	Config struct {
		User       string
		Env        []string
		Entrypoint []string
		WorkingDir string
		Labels     map[string]string
	} `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeImage writes an OCI layout with one image to w and returns the digest of
// its manifest.
func writeImage(w io.Writer, c config, layers ...*layer) (string, error) {
	blobs := newLayer()
	add := func(media string, b []byte) descriptor {
		d := digestOf(b)
		blobs.addFile(blobPath(d), 0o644, b)
		return descriptor{MediaType: media, Digest: d, Size: len(b)}
	}

	ic := imageConfig{platform: platform{Architecture: c.Architecture, OS: "linux"}}
	ic.Config.User = "65532:65532"
	ic.Config.Env = []string{"PATH=/usr/bin:/bin", "HOME=/tmp"}
	ic.Config.Entrypoint = []string{"/abide"}
	ic.Config.WorkingDir = "/tmp"
	ic.Config.Labels = map[string]string{"org.opencontainers.image.title": "abide", "org.opencontainers.image.licenses": "Apache-2.0"}
	ic.RootFS.Type = "layers"

	m := manifest{SchemaVersion: 2, MediaType: mediaManifest}
	docker := dockerManifest{RepoTags: []string{c.Tag}}
	for _, l := range layers {
		b, diffID, err := l.pack()
		if err != nil {
			return "", err
		}
		d := add(mediaLayer, b)
		m.Layers = append(m.Layers, d)
		docker.Layers = append(docker.Layers, blobPath(d.Digest))
		ic.RootFS.DiffIDs = append(ic.RootFS.DiffIDs, diffID)
	}
	b, err := json.Marshal(ic)
	if err != nil {
		return "", err
	}
	m.Config = add(mediaConfig, b)
	docker.Config = blobPath(m.Config.Digest)
	if b, err = json.Marshal(m); err != nil {
		return "", err
	}
	top := add(mediaManifest, b)
	top.Platform = &ic.platform
	full := c.Tag
	if !strings.Contains(full, "/") { // as docker names an image of no registry
		full = "docker.io/library/" + full
	}
	top.Annotations = map[string]string{
		"org.opencontainers.image.ref.name": c.Tag[strings.LastIndexByte(c.Tag, ':')+1:],
		"io.containerd.image.name":          full,
	}
	for name, v := range map[string]any{
		"oci-layout":    map[string]string{"imageLayoutVersion": "1.0.0"},
		"index.json":    index{SchemaVersion: 2, MediaType: mediaIndex, Manifests: []descriptor{top}},
		"manifest.json": []dockerManifest{docker},
	} {
		if b, err = json.Marshal(v); err != nil {
			return "", err
		}
		blobs.entries[name] = entry{kind: tar.TypeReg, mode: 0o644, body: b}
	}
	return top.Digest, blobs.write(w)
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blobPath(digest string) string {
	return "blobs/" + strings.Replace(digest, ":", "/", 1)
}
