package chart

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
)

const (
	// maxWhole is how large an index may be that has to be parsed at once. The
	// parser holds some twenty times as much in memory.
	maxWhole = 8 << 20
	// maxCharts and maxOffers bound what is held of an index.
	maxCharts = 100_000
	maxOffers = 100_000
	// maxEntry is how many bytes one version of one chart may have.
	maxEntry = 1 << 20
)

// index is what is known of an index: where in its file each chart is, or all
// that it says.
type index struct {
	digest string             // of the file, in hexadecimal
	spans  map[string]span    // of an index read line by line
	whole  map[string][]offer // of one that was parsed at once
}

// span is where a chart is in an index file.
type span struct {
	offset, length int64
	line           int    // of its first line
	sum            uint32 // CRC-32 of its bytes
}

// indexError says what is wrong with an index.
type indexError struct {
	line    int // from 1; 0 if not known
	problem string
	large   bool
}

func (e *indexError) Error() string {
	if e.line > 0 {
		return fmt.Sprintf("line %d: %s", e.line, e.problem)
	}
	return e.problem
}

// webPage is what a login, or a page to look at, is taken for.
const webPage = "it is a web page"

// errIrregular is an index that is not written the way that Helm writes it. It
// may be a good one all the same.
var errIrregular = errors.New("not in the form that is read line by line")

// readIndex reads an index file. An index as Helm and its like write it (block
// style, no anchors across charts) is gone through line by line, so that a
// large one costs little; JSON is read as a stream; and any other YAML is
// parsed at once if it is small enough.
func readIndex(f io.ReadSeeker) (*index, error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return nil, err
	}
	head = bytes.TrimSpace(bytes.TrimPrefix(head[:n], []byte("\uFEFF")))
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	switch {
	case len(head) == 0:
		return nil, &indexError{problem: "it is empty"}
	case head[0] == '<':
		return nil, &indexError{line: 1, problem: webPage}
	case head[0] == '{':
		charts, err := readJSONIndex(f)
		return &index{whole: charts}, err
	}
	s := scanner{spans: map[string]span{}}
	irregular := s.scan(f)
	if irregular == nil {
		return &index{spans: s.spans}, nil
	}
	if !errors.Is(irregular, errIrregular) {
		return nil, irregular
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	charts, err := readWholeIndex(f)
	if errors.Is(err, errTooLong) {
		return nil, &indexError{line: s.n, large: true, problem: fmt.Sprintf(
			"it is not written as Helm writes an index, and abide reads such YAML up to %d MiB", maxWhole>>20)}
	}
	return &index{whole: charts}, err
}

// scanner finds the charts in an index, line by line.
type scanner struct {
	spans      map[string]span
	n          int   // the line
	offset     int64 // of its first byte
	indent     int   // of the names of charts
	inEntries  bool
	hasEntries bool
	hasVersion bool
	started    bool
	current    string // the chart that the line belongs to
	span       span
}

func (s *scanner) scan(r io.Reader) error {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		piece, err := br.ReadSlice('\n')
		if len(piece) > 0 {
			s.n++
			if err := s.line(piece); err != nil {
				return err
			}
			s.feed(piece)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			piece, err = br.ReadSlice('\n')
			s.feed(piece)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	s.end()
	switch {
	case !s.hasEntries:
		return errIrregular // the parser says it better
	case !s.hasVersion:
		return &indexError{problem: "it has no apiVersion"}
	}
	return nil
}

// feed counts bytes of the line.
func (s *scanner) feed(piece []byte) {
	s.offset += int64(len(piece))
	if s.current != "" {
		s.span.length += int64(len(piece))
		s.span.sum = crc32.Update(s.span.sum, crc32.IEEETable, piece)
	}
}

// end closes the chart that is open.
func (s *scanner) end() {
	if s.current != "" {
		s.spans[s.current] = s.span
		s.current = ""
	}
}

// line looks at the beginning of a line.
func (s *scanner) line(piece []byte) error {
	indent, text, err := content(piece)
	if err != nil || text == "" {
		return err
	}
	if indent == 0 {
		return s.top(text)
	}
	switch {
	case !s.inEntries:
		return nil
	case s.indent == 0:
		s.indent = indent
	}
	switch {
	case indent < s.indent:
		return errIrregular
	case indent > s.indent || item(text):
		if s.current == "" {
			return errIrregular
		}
		return nil
	}
	return s.chart(text)
}

// top is for a line that is not indented.
func (s *scanner) top(text string) error {
	if text == "---" && !s.started {
		s.started = true
		return nil
	}
	s.started = true
	s.end()
	s.inEntries = false
	key, rest, ok := cutKey(text)
	if !ok {
		return errIrregular
	}
	switch key {
	case "entries":
		if s.hasEntries {
			return &indexError{line: s.n, problem: `it has "entries" twice`}
		}
		s.hasEntries, s.inEntries = true, rest == ""
		if rest != "" && rest != "{}" {
			return errIrregular
		}
	case "apiVersion":
		s.hasVersion = rest != "" && rest != `""`
	}
	return nil
}

// chart is for a line with the name of a chart.
func (s *scanner) chart(text string) error {
	s.end()
	name, rest, ok := cutKey(text)
	if !ok || rest != "" && rest != "[]" || len(name) > maxName {
		return errIrregular
	}
	if _, ok := s.spans[name]; ok {
		return &indexError{line: s.n, problem: "it has chart " + show(name) + " twice"}
	}
	if len(s.spans) >= maxCharts {
		return &indexError{line: s.n, large: true, problem: fmt.Sprintf("it has more than %d charts", maxCharts)}
	}
	s.current = name
	s.span = span{offset: s.offset, line: s.n}
	return nil
}

// content returns how far a line is indented and what stands there, without a
// comment that is all of it.
func content(line []byte) (int, string, error) {
	indent := 0
	for indent < len(line) && line[indent] == ' ' {
		indent++
	}
	text := strings.TrimRight(string(line[indent:]), " \t\r\n")
	switch {
	case text == "" || text[0] == '#':
		return indent, "", nil
	case line[indent] == '\t' || text[0] == '%' || strings.HasPrefix(text, "..."):
		return 0, "", errIrregular
	}
	return indent, text, nil
}

// item tells that a line begins an element of a list.
func item(text string) bool { return text == "-" || strings.HasPrefix(text, "- ") }

// keyForm is a key as Helm writes one, plain or quoted with nothing to unquote.
var keyForm = regexp.MustCompile(`^(?:"([^"\\]+)"|'([^']+)'|([A-Za-z0-9_][^\s:#"']*)):(?:\s+(.*))?$`)

// cutKey cuts "key: rest"; a comment is no rest.
func cutKey(text string) (key, rest string, ok bool) {
	m := keyForm.FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	rest = strings.TrimSpace(m[4])
	if strings.HasPrefix(rest, "#") {
		rest = ""
	}
	return m[1] + m[2] + m[3], rest, true
}

// rawEntry is what abide reads of one version in an index.
type rawEntry struct {
	Version string   `yaml:"version" json:"version"`
	URLs    []string `yaml:"urls" json:"urls"`
	Digest  string   `yaml:"digest" json:"digest"`
}

// offer takes an entry over if it has a version; Helm as well leaves others
// out.
func (r *rawEntry) offer(line int) (offer, bool) {
	if r == nil || len(r.Version) > maxVersion {
		return offer{}, false
	}
	v, err := semver.NewVersion(r.Version)
	if err != nil {
		return offer{}, false
	}
	o := offer{version: r.Version, parsed: v, digest: strings.ToLower(strings.TrimPrefix(r.Digest, "sha256:")), line: line}
	if len(r.URLs) > 0 {
		o.url = r.URLs[0]
	}
	return o, true
}

// errDamaged is an index file that is not what it was.
var errDamaged = errors.New("the index on disk is damaged")

// readChart reads one chart of an index that was gone through line by line. It
// parses one version after the other.
func readChart(f io.ReaderAt, s span) ([]offer, error) {
	sum := crc32.NewIEEE()
	br := bufio.NewReader(io.TeeReader(io.NewSectionReader(f, s.offset, s.length), sum))
	p := chartParser{line: s.line}
	problem := p.parse(br)
	if _, err := io.Copy(io.Discard, br); err != nil || sum.Sum32() != s.sum {
		return nil, errDamaged
	}
	if problem != nil {
		return nil, problem
	}
	sortOffers(p.offers)
	return p.offers, nil
}

// readOffers reads one chart of an index that was gone through line by line. If
// the chart makes no sense by itself, it may use anchors of others: then all of
// the index is parsed, if that is possible.
func readOffers(f io.ReaderAt, size int64, name string, s span) ([]offer, error) {
	offers, err := readChart(f, s)
	var bad *indexError
	if !errors.Is(err, errIrregular) && (!errors.As(err, &bad) || bad.large) {
		return offers, err
	}
	whole, wholeErr := readWholeIndex(io.NewSectionReader(f, 0, size))
	switch {
	case wholeErr == nil:
		return whole[name], nil
	case bad != nil: // it knows the line
		return nil, bad
	case errors.Is(wholeErr, errTooLong):
		return nil, &indexError{line: s.line, large: true, problem: fmt.Sprintf(
			"chart %s is not written as Helm writes it, and abide reads such YAML up to %d MiB", show(name), maxWhole>>20)}
	}
	return nil, wholeErr
}

type chartParser struct {
	line   int // of what is read next
	indent int // of the versions
	entry  bytes.Buffer
	first  int // the line of the entry
	offers []offer
}

func (p *chartParser) parse(br *bufio.Reader) error {
	for head := true; ; head = false {
		line, err := readLine(br)
		if err != nil && err != io.EOF {
			if errors.Is(err, errTooLong) {
				return p.tooLong()
			}
			return err
		}
		if !head && len(line) > 0 {
			if err := p.add(line); err != nil {
				return err
			}
		}
		p.line++
		if err == io.EOF {
			return p.flush()
		}
	}
}

func (p *chartParser) tooLong() error {
	return &indexError{line: p.line, large: true, problem: fmt.Sprintf("one version of a chart has more than %d bytes", maxEntry)}
}

func (p *chartParser) add(line []byte) error {
	indent, text, err := content(line)
	if err != nil {
		return err
	}
	if text != "" && item(text) && (p.first == 0 || indent == p.indent) {
		if err := p.flush(); err != nil {
			return err
		}
		p.indent, p.first = indent, p.line
	} else if text != "" && (p.first == 0 || indent <= p.indent) {
		return errIrregular
	}
	if p.entry.Len()+len(line) > maxEntry {
		return p.tooLong()
	}
	p.entry.Write(line)
	return nil
}

// flush parses the entry that was gathered.
func (p *chartParser) flush() error {
	defer p.entry.Reset()
	if p.first == 0 {
		return nil
	}
	var entries []*rawEntry
	if err := unmarshal(p.entry.Bytes(), &entries); err != nil {
		// Once more, with as many lines before it as there are in the index: the
		// parser names the line.
		padded := append(bytes.Repeat([]byte("\n"), p.first-1), p.entry.Bytes()...)
		return yamlProblem(unmarshal(padded, &entries))
	}
	for _, e := range entries {
		if o, ok := e.offer(p.first); ok {
			p.offers = append(p.offers, o)
		}
	}
	if len(p.offers) > maxOffers {
		return &indexError{line: p.first, large: true, problem: fmt.Sprintf("a chart has more than %d versions", maxOffers)}
	}
	return nil
}

// readLine reads a line of at most maxEntry bytes, with its end.
func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		piece, err := br.ReadSlice('\n')
		line = append(line, piece...)
		if len(line) > maxEntry {
			return nil, errTooLong
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// unmarshal is the parser, which is kept from ending the program.
func unmarshal(text []byte, into any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser of YAML broke down on it")
		}
	}()
	return yaml.Unmarshal(text, into)
}

func yamlProblem(err error) error {
	if err == nil {
		return errIrregular // it was wrong by itself, and is right further down
	}
	const most = 200
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	return &indexError{problem: "it is no valid YAML (" + strings.Join(strings.Fields(printable(text)), " ") + ")"}
}

// readWholeIndex parses an index at once.
func readWholeIndex(r io.Reader) (map[string][]offer, error) {
	text, err := io.ReadAll(&limited{r: r, left: maxWhole})
	if err != nil {
		return nil, err
	}
	var file struct {
		APIVersion string                 `yaml:"apiVersion"`
		Entries    map[string][]*rawEntry `yaml:"entries"`
	}
	if err := unmarshal(text, &file); err != nil {
		return nil, yamlProblem(err)
	}
	switch {
	case file.APIVersion == "":
		return nil, &indexError{problem: "it has no apiVersion"}
	case len(file.Entries) > maxCharts:
		return nil, &indexError{large: true, problem: fmt.Sprintf("it has more than %d charts", maxCharts)}
	}
	charts := make(map[string][]offer, len(file.Entries))
	total := 0
	for name, entries := range file.Entries {
		var offers []offer
		for _, e := range entries {
			if o, ok := e.offer(0); ok {
				offers = append(offers, o)
			}
		}
		sortOffers(offers)
		charts[name] = offers
		if total += len(offers); total > maxOffers {
			return nil, tooManyOffers()
		}
	}
	return charts, nil
}

func tooManyOffers() error {
	return &indexError{large: true, problem: fmt.Sprintf("it has more than %d versions of charts, and is not written as Helm writes an index", maxOffers)}
}
