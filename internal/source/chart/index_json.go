package chart

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// readJSONIndex reads an index that is JSON, as "helm repo index --json" writes
// it, version by version.
func readJSONIndex(r io.Reader) (map[string][]offer, error) {
	d := json.NewDecoder(r)
	p := &jsonIndex{decoder: d, charts: map[string][]offer{}}
	err := p.read()
	if err == nil {
		return p.charts, nil
	}
	var known *indexError
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &known):
		return nil, err
	case errors.As(err, &syntax), errors.As(err, &kind), errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, &indexError{problem: fmt.Sprintf("it is no valid JSON (%s, at byte %d)", show(err.Error()), d.InputOffset())}
	}
	return nil, err
}

type jsonIndex struct {
	decoder *json.Decoder
	charts  map[string][]offer
	offers  int
	version string
	entries bool
}

func (p *jsonIndex) read() error {
	err := p.object(func(key string) error {
		switch key {
		case "apiVersion":
			return p.decoder.Decode(&p.version)
		case "entries":
			if p.entries {
				return &indexError{problem: `it has "entries" twice`}
			}
			p.entries = true
			return p.object(p.chart)
		}
		return p.skip()
	})
	if err != nil {
		return err
	}
	if p.version == "" {
		return &indexError{problem: "it has no apiVersion"}
	}
	return nil
}

// object goes through the members of an object; null is an empty one.
func (p *jsonIndex) object(member func(key string) error) error {
	t, err := p.decoder.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('{') {
		return p.unexpected("an object")
	}
	for p.decoder.More() {
		key, err := p.decoder.Token()
		if err != nil {
			return err
		}
		name, ok := key.(string)
		if !ok {
			return p.unexpected("a name")
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err = p.decoder.Token()
	return err
}

func (p *jsonIndex) unexpected(what string) error {
	return &indexError{problem: fmt.Sprintf("there is no %s where one should be, at byte %d", what, p.decoder.InputOffset())}
}

func (p *jsonIndex) chart(name string) error {
	switch _, ok := p.charts[name]; {
	case ok:
		return &indexError{problem: "it has chart " + show(name) + " twice"}
	case len(p.charts) >= maxCharts:
		return &indexError{large: true, problem: fmt.Sprintf("it has more than %d charts", maxCharts)}
	}
	p.charts[name] = nil
	t, err := p.decoder.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('[') {
		return p.unexpected("list")
	}
	var offers []offer
	for p.decoder.More() {
		var e *rawEntry
		if err := p.decoder.Decode(&e); err != nil {
			return err
		}
		if o, ok := e.offer(0); ok {
			offers = append(offers, o)
		}
		if p.offers++; p.offers > maxOffers {
			return tooManyOffers()
		}
	}
	sortOffers(offers)
	p.charts[name] = offers
	_, err = p.decoder.Token()
	return err
}

// skip passes over one value without holding it.
func (p *jsonIndex) skip() error {
	for depth := 0; ; {
		t, err := p.decoder.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
