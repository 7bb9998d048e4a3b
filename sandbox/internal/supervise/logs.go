package supervise

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
)

// copyLines copies r to log as it is and to tee line by line, in one write
// per line, so that the lines of several processes do not mix.
func copyLines(log, tee io.Writer, name string, r io.Reader) {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		if len(line) > 0 {
			// A log that cannot be written must not stop the process: its
			// pipe would fill up.
			_, _ = log.Write(line)
			_, _ = fmt.Fprintf(tee, "%s: %s\n", name, bytes.TrimRight(line, "\n"))
		}
		if err != nil {
			return
		}
	}
}

// Tail returns the last n lines of a log, each cut to 300 bytes.
func Tail(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	const window = 64 << 10
	if st, err := f.Stat(); err == nil && st.Size() > window {
		if _, err := f.Seek(-window, io.SeekEnd); err != nil {
			return nil
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, window))
	if err != nil || len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, l := range lines {
		lines[i] = l[:min(len(l), 300)]
	}
	return lines
}
