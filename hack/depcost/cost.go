package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// symbol is a name of the symbol table and the bytes that it stands for.
type symbol struct {
	name string
	size int64
}

// cost is what a module takes.
type cost struct {
	module string
	bytes  int64
}

const goItself = "Go: standard library and runtime"

// costs sums up the symbols of each module, the largest first.
func costs(symbols []symbol, modules []string) []cost {
	sums := map[string]int64{}
	known := map[string]bool{}
	for _, m := range modules {
		known[m] = true
	}
	for _, s := range symbols {
		sums[moduleOf(s.name, known)] += s.size
	}
	var out []cost
	for m, n := range sums {
		out = append(out, cost{m, n})
	}
	slices.SortFunc(out, func(a, b cost) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.module, b.module))
	})
	return out
}

// moduleOf finds the module of a symbol. Its name is the package path and, after
// a dot, what it is in the package; the linker writes dots in the last element of
// a path as %2e, and puts words in front of what it makes itself (type:.eq. and
// the like).
func moduleOf(name string, known map[string]bool) string {
	name = strings.ReplaceAll(name, "%2e", ".")
	if i := strings.LastIndexByte(name, ':'); i >= 0 && strings.HasPrefix(name[:i], "go") || strings.HasPrefix(name, "type:") {
		name = name[i+1:]
	}
	for _, prefix := range []string{".eq.", ".hash.", ".namedata.", "itab.", "*"} {
		name = strings.TrimPrefix(name, prefix)
	}
	if i := strings.IndexAny(name, "[(,"); i > 0 { // the types that a generic function is made for
		name = name[:i]
	}
	for end := len(name); end > 0; end = strings.LastIndexAny(name[:end], "/.") {
		if known[name[:end]] {
			return name[:end]
		}
	}
	return goItself
}

// directOf lists the modules that a go.mod requires by itself.
func directOf(gomod string) map[string]bool {
	out := map[string]bool{}
	in := false
	for line := range strings.Lines(gomod) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			in = true
			continue
		case line == ")":
			in = false
		case strings.HasPrefix(line, "require "):
			line = strings.TrimPrefix(line, "require ")
		case !in:
			continue
		}
		if f := strings.Fields(line); len(f) >= 2 && !strings.Contains(line, "// indirect") {
			out[f[0]] = true
		}
	}
	return out
}

// smallest is what a module has to take to be listed by itself, in bytes.
const smallest = 100_000

func page(all []cost, direct map[string]bool, main string, shipped int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, head, mega(shipped))
	var rest, total int64
	count := 0
	for _, c := range all {
		total += c.bytes
		name, kind := "`"+c.module+"`", "by way of others"
		switch {
		case c.module == goItself:
			name, kind = c.module, ""
		case c.module == main:
			name, kind = "abide itself", ""
		case direct[c.module]:
			kind = "direct"
		}
		if c.bytes < smallest && kind != "direct" {
			rest, count = rest+c.bytes, count+1
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, kind, mega(c.bytes))
	}
	fmt.Fprintf(&b, "| %d smaller ones | by way of others | %s |\n", count, mega(rest))
	fmt.Fprintf(&b, "| tables of functions, lines and types, which are of all of them | | %s |\n| together | | %s |\n", mega(shipped-total), mega(shipped))
	return b.String()
}

func mega(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

const head = `# What each dependency costs

Written by ` + "`make deps-cost`" + ` from the symbols of the program for linux/amd64; not edited by hand. The program as
it is shipped, stripped, has %s; a test keeps it below 150 MB, and another what its packages do when they are
loaded. Why each direct dependency is there: [ADR 0008](adr/0008-dependencies.md).

| module | | takes |
| --- | --- | --- |
`
