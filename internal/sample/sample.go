// Package sample holds the small configuration repository that "abide up"
// serves when it is given none: one application with an overlay for each of two
// environments.
package sample

import (
	"context"
	"embed"
	"io/fs"

	"abide.dev/abide/internal/gitserver"
)

//go:embed files
var files embed.FS

// Folder is a folder of the sample that an App can point at.
type Folder struct {
	App, Path, Namespace string
}

// Folders are the environments of the sample.
var Folders = []Folder{
	{App: "shop-staging", Path: "shop/staging", Namespace: "staging"},
	{App: "shop-production", Path: "shop/production", Namespace: "production"},
}

// Create makes the sample a bare repository at dir, with one commit on the
// branch main. A repository that is there already is left as it is.
func Create(ctx context.Context, dir string) error {
	tree, err := fs.Sub(files, "files")
	if err != nil {
		return err
	}
	return gitserver.Seed(ctx, dir, tree, "The shop, in staging and in production")
}
