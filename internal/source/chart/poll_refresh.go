package chart

import "strings"

// Refresh is an immediate look that was asked for.
type Refresh struct {
	left int // looks that are not over; under the Poller's mutex
	done chan struct{}
}

// Done is closed when every look that belongs to the refresh, each of which
// began after it was asked for, is over and its result is in State, or when
// there is nothing to wait for: nobody follows it, or Run is over. Whether the
// looks went well is in State too.
func (r *Refresh) Done() <-chan struct{} { return r.done }

// Refresh looks at once at what is followed under the names.
func (p *Poller) Refresh(names ...string) *Refresh {
	groups := map[*group]bool{}
	p.mu.Lock()
	for _, name := range names {
		if f := p.names[name]; f != nil && f.group != nil {
			groups[f.group] = true
		}
	}
	p.mu.Unlock()
	return p.refresh(groups)
}

// RefreshRepo looks at once at all charts of a repository that are followed,
// as every identity that follows them: what a webhook asks for. Of a registry,
// it is all that lies at or below the URL. A URL that is not valid, or that
// nobody follows, is done at once.
func (p *Poller) RefreshRepo(url string) *Refresh {
	groups := map[*group]bool{}
	if t, err := parseRepo(url); err == nil {
		p.mu.Lock()
		for key, s := range p.sites {
			if key.repo != t.repo() && !(s.scheme == "oci" && strings.HasPrefix(key.repo, t.repo()+"/")) {
				continue
			}
			for _, g := range s.groups {
				groups[g] = true
			}
		}
		p.mu.Unlock()
	}
	return p.refresh(groups)
}

func (p *Poller) refresh(groups map[*group]bool) *Refresh {
	// What the Store heard until now is void, once for each repository and not
	// once for each look, so that the looks share what it hears from now on.
	expired := map[string]bool{}
	for g := range groups {
		if repo := g.site.key.repo; !expired[repo] {
			expired[repo] = true
			p.store.Expire(g.ref)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &Refresh{done: make(chan struct{})}
	for g := range groups {
		if g.gone || p.ended {
			continue
		}
		r.left++
		g.waiting = append(g.waiting, r)
		g.asked = true
		p.enqueue(g, true)
	}
	if r.left == 0 {
		close(r.done)
	}
	p.poke()
	return r
}

// settle counts a look as over for those who waited for it.
func settle(waiting *[]*Refresh) {
	for _, r := range *waiting {
		if r.left--; r.left == 0 {
			close(r.done)
		}
	}
	*waiting = nil
}
