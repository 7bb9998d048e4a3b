// Package limit says how much one render may cost.
package limit

// Limits bound one render. The zero value of a field means its default.
type Limits struct {
	// FileBytes is the size of the largest file that is read.
	FileBytes int64 `json:"fileBytes,omitempty"`
	// TotalBytes bounds the distinct files of a render together, and what a
	// renderer reads with each repeated reading counted again.
	TotalBytes int64 `json:"totalBytes,omitempty"`
	// Objects bounds the objects of the result.
	Objects int `json:"objects,omitempty"`
	// Depth bounds how deep values are nested.
	Depth int `json:"depth,omitempty"`
	// ExpandedBytes bounds a document once its aliases are written out.
	ExpandedBytes int64 `json:"expandedBytes,omitempty"`
	// Builds bounds how many kustomizations one render builds, a base counted
	// once for each time it is included.
	Builds int `json:"builds,omitempty"`
	// WorkBytes bounds what kustomizations may write: the bytes of a
	// transformation times the objects it may touch, before it runs.
	WorkBytes int64 `json:"workBytes,omitempty"`
}

// Default returns the limits that apply where nothing else is said. They leave
// room for the largest repositories seen in use, by a factor of ten.
func Default() Limits {
	return Limits{
		FileBytes:     16 << 20,
		TotalBytes:    128 << 20,
		Objects:       20_000,
		Depth:         256,
		ExpandedBytes: 32 << 20,
		Builds:        2_000,
		WorkBytes:     1 << 30,
	}
}

// OrDefault returns l with its zero fields set to the defaults.
func (l Limits) OrDefault() Limits {
	d := Default()
	if l.FileBytes == 0 {
		l.FileBytes = d.FileBytes
	}
	if l.TotalBytes == 0 {
		l.TotalBytes = d.TotalBytes
	}
	if l.Objects == 0 {
		l.Objects = d.Objects
	}
	if l.Depth == 0 {
		l.Depth = d.Depth
	}
	if l.ExpandedBytes == 0 {
		l.ExpandedBytes = d.ExpandedBytes
	}
	if l.Builds == 0 {
		l.Builds = d.Builds
	}
	if l.WorkBytes == 0 {
		l.WorkBytes = d.WorkBytes
	}
	return l
}
