// Command depcost writes the page that says what each module takes in the
// program abide.
//
// It reads a program that was built with its symbol table, and sums up the sizes
// of the symbols of each module: code, constants, variables. What the linker
// makes one table of, functions, lines and types, is left over and said to be.
// Equal programs give an equal page.
package main

import (
	"debug/buildinfo"
	"debug/elf"
	"flag"
	"fmt"
	"os"
)

func main() {
	program := flag.String("program", "", "abide, built with its symbol table")
	stripped := flag.String("stripped", "bin/abide", "abide as it is shipped")
	mod := flag.String("mod", "go.mod", "the go.mod that tells direct dependencies from others")
	out := flag.String("out", "docs/dependencies.md", "the page to write")
	flag.Parse()
	if err := run(*program, *stripped, *mod, *out); err != nil {
		fmt.Fprintln(os.Stderr, "depcost:", err)
		os.Exit(1)
	}
}

func run(program, stripped, mod, out string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	symbols, err := symbolsOf(program)
	if err != nil {
		return err
	}
	gomod, err := os.ReadFile(mod)
	if err != nil {
		return err
	}
	shipped, err := os.Stat(stripped)
	if err != nil {
		return err
	}
	modules := []string{info.Main.Path}
	for _, m := range info.Deps {
		modules = append(modules, m.Path)
	}
	return os.WriteFile(out, []byte(page(costs(symbols, modules), directOf(string(gomod)), info.Main.Path, shipped.Size())), 0o644)
}

// symbolsOf reads the symbols that take space in the file.
func symbolsOf(program string) ([]symbol, error) {
	f, err := elf.Open(program)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w (it has to be built without -ldflags=-s)", program, err)
	}
	var out []symbol
	for _, s := range all {
		if int(s.Section) < len(f.Sections) && f.Sections[s.Section].Type != elf.SHT_NOBITS {
			out = append(out, symbol{s.Name, int64(s.Size)})
		}
	}
	return out, nil
}
