package release

import (
	"fmt"

	"abide.dev/abide/internal/object"
)

// NotFoundError says that there is no record of a release.
type NotFoundError struct {
	App    object.App
	Number int64
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("release %s#%d is not there, or no longer kept: abide history %s -n %s lists those that are",
		e.App.Name, e.Number, e.App.Name, e.App.Namespace)
}

// TakenError says that another release has the number. The Store knows of it
// now: the next number is free.
type TakenError struct {
	App    object.App
	Number int64
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("release %s#%d in namespace %s exists already and is another one: does a second abide run in this cluster? This one takes the next number",
		e.App.Name, e.Number, e.App.Namespace)
}

// MissingError says that manifests of a release are not there any more.
type MissingError struct {
	Secret string // namespace/name
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the manifests are no longer kept: there is no Secret %s; choose another release (abide history), or put the commit back in Git", e.Secret)
}

// AlteredError says that what is kept is not what was written.
type AlteredError struct {
	Object string // the kind, the namespace and the name of what was altered
	Why    string
}

func (e *AlteredError) Error() string {
	return fmt.Sprintf("%s is not as abide wrote it: %s; it is not used: choose another release (abide history), or put the commit back in Git", e.Object, e.Why)
}

// TooLargeError says that what was rendered is too much to be kept.
type TooLargeError struct {
	App object.App
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the manifests of App %s are more than %d MB compressed, or %d MB as they are, and are not kept: split the App, or leave large data out of Git",
		e.App, MaxParts*PartSize>>20, maxPlain>>20)
}

// KeyError says that the key of the names and hashes can't be used.
type KeyError struct {
	Secret string // namespace/name
	Why    string
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("Secret %s %s: without its key, manifests that were kept can't be verified; put it back, or delete it to begin anew without them", e.Secret, e.Why)
}
