package health

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"sync"
)

//go:embed rules/*.yaml
var files embed.FS

// Shipped returns the rules that abide brings along. Their files are read once,
// when they are first asked for.
func Shipped() Rules { return shipped() }

var shipped = sync.OnceValue(func() Rules {
	rules, err := readShipped()
	if err != nil {
		panic(err) // the files are part of the program, and a test reads them
	}
	return rules
})

func readShipped() (Rules, error) {
	names, err := fs.Glob(files, "rules/*.yaml")
	if err != nil {
		return Rules{}, err
	}
	var all Rules
	for _, name := range names {
		content, err := files.ReadFile(name)
		if err != nil {
			return Rules{}, err
		}
		rules, err := decode("shipped/"+path.Base(name), content)
		if err != nil {
			return Rules{}, fmt.Errorf("the rules that abide brings along: %w", err)
		}
		all = all.Before(rules)
	}
	return all, nil
}
