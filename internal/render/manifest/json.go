package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"abide.dev/abide/internal/render/fault"
)

// json decodes a file of one or more JSON values.
func (d *decoder) json(content []byte) error {
	j := &jsonDecoder{file: d.file, content: content, depth: d.lim.Depth}
	j.dec = json.NewDecoder(bytes.NewReader(content))
	j.dec.UseNumber()
	for {
		line := j.nextLine()
		tok, err := j.dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return j.fail(err)
		}
		j.items = nil
		v, err := j.value(tok, 0, false)
		if err != nil {
			return err
		}
		items := j.items
		if err := d.document(v, line, func() []int { return items }); err != nil {
			return err
		}
	}
}

// jsonDecoder reads values token by token, since the standard decoder lets a
// repeated key pass.
type jsonDecoder struct {
	file    string
	content []byte
	dec     *json.Decoder
	depth   int
	items   []int // lines of the elements of the outermost "items"

	counted, lines int // lines up to the byte counted
}

// nextLine is the line of the next token.
func (j *jsonDecoder) nextLine() int {
	at := int(j.dec.InputOffset())
	for at < len(j.content) && bytes.IndexByte([]byte(" \t\r\n,:"), j.content[at]) >= 0 {
		at++
	}
	return j.lineAt(at)
}

// lineAt counts on from where it stopped, so that a file is counted once.
func (j *jsonDecoder) lineAt(at int) int {
	if at < j.counted {
		j.counted, j.lines = 0, 0
	}
	j.lines += bytes.Count(j.content[j.counted:at], []byte{'\n'})
	j.counted = at
	return j.lines + 1
}

func (j *jsonDecoder) value(tok json.Token, depth int, isItems bool) (any, error) {
	if depth > j.depth {
		return nil, fault.New(fault.TooDeep, j.file, j.nextLine(), "is nested more than %d levels deep", j.depth)
	}
	switch tok := tok.(type) {
	case json.Number:
		if i, err := tok.Int64(); err == nil {
			return i, nil
		}
		f, err := tok.Float64()
		if err != nil {
			return nil, fault.New(fault.InvalidYAML, j.file, j.nextLine(), "has a number that is out of range")
		}
		return fromFloat(f), nil
	case json.Delim:
		if tok == '{' {
			return j.object(depth)
		}
		return j.array(depth, isItems)
	}
	return tok, nil
}

func (j *jsonDecoder) object(depth int) (any, error) {
	m := map[string]any{}
	for j.dec.More() {
		line := j.nextLine()
		k, err := j.dec.Token()
		if err != nil {
			return nil, j.fail(err)
		}
		name, _ := k.(string)
		if _, twice := m[name]; twice {
			return nil, fault.New(fault.InvalidYAML, j.file, line, "key %q already set in map", clip(name))
		}
		tok, err := j.dec.Token()
		if err != nil {
			return nil, j.fail(err)
		}
		if m[name], err = j.value(tok, depth+1, depth == 0 && name == "items"); err != nil {
			return nil, err
		}
	}
	_, err := j.dec.Token()
	return m, j.fail(err)
}

func (j *jsonDecoder) array(depth int, isItems bool) (any, error) {
	list := []any{}
	for j.dec.More() {
		if isItems {
			j.items = append(j.items, j.nextLine())
		}
		tok, err := j.dec.Token()
		if err != nil {
			return nil, j.fail(err)
		}
		v, err := j.value(tok, depth+1, false)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := j.dec.Token()
	return list, j.fail(err)
}

// fail names the line of a syntax error; nil stays nil.
func (j *jsonDecoder) fail(err error) error {
	if err == nil {
		return nil
	}
	at := int(j.dec.InputOffset())
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = int(syntax.Offset)
	}
	e := fault.New(fault.InvalidYAML, j.file, j.lineAt(min(at, len(j.content))), "is not valid JSON: %v", err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		e.Msg = "is not valid JSON: it ends too early"
	}
	e.Err = err
	return e
}
