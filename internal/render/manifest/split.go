package manifest

import "bytes"

// document is one YAML document of a stream.
type document struct {
	text  []byte // from its marker on, the marker included
	start int    // line of the first byte of text, from 1
	first int    // line of its first key or value, from 1
}

// splitDocuments cuts a stream at its markers ("---", "..."), which are such
// only at the start of a line. Documents with nothing but comments are left
// out.
func splitDocuments(content []byte) []document {
	var docs []document
	begin, beginLine, first := 0, 1, 0
	directives := false
	flush := func(end int) {
		if first > 0 {
			docs = append(docs, document{text: content[begin:end], start: beginLine, first: first})
		}
	}
	line := 1
	for pos := 0; pos < len(content); line++ {
		next := len(content)
		if i := bytes.IndexByte(content[pos:], '\n'); i >= 0 {
			next = pos + i + 1
		}
		text := content[pos:next]
		switch {
		case isMarker(text, "---"):
			// "%YAML" lines belong to the document that the marker opens.
			if !directives || first > 0 {
				flush(pos)
				begin, beginLine = pos, line
			}
			first, directives = 0, false
			if rest := bytes.TrimSpace(text[3:]); len(rest) > 0 && rest[0] != '#' {
				first = line
			}
		case isMarker(text, "..."):
			flush(pos)
			begin, beginLine, first, directives = next, line+1, 0, false
		case text[0] == '%' && first == 0:
			directives = true
		case first == 0:
			if t := bytes.TrimSpace(text); len(t) > 0 && t[0] != '#' {
				first = line
			}
		}
		pos = next
	}
	flush(len(content))
	return docs
}

// isMarker tells whether a line is a document marker.
func isMarker(line []byte, marker string) bool {
	if !bytes.HasPrefix(line, []byte(marker)) {
		return false
	}
	return len(line) == 3 || bytes.IndexByte([]byte(" \t\r\n"), line[3]) >= 0
}
