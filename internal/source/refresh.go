package source

// Refresh is an immediate look that was asked for.
type Refresh struct {
	left int // looks that are not over; under the Hub's mutex
	done chan struct{}
}

// Done is closed when every look that belongs to the refresh, each of which
// began after it was asked for, is over and its result is in State. Whether
// they went well is in State too.
func (r *Refresh) Done() <-chan struct{} { return r.done }

// RefreshApp looks at once at what an App follows.
func (h *Hub) RefreshApp(app string) *Refresh {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.apps[app]
	if f == nil || f.group == nil {
		return h.refresh(nil)
	}
	return h.refresh([]*group{f.group})
}

// RefreshURL looks at once at a repository, with the credentials of all who
// follow it: what a webhook asks for. A URL that is not valid, or that nobody
// follows, is done at once.
func (h *Hub) RefreshURL(raw string) *Refresh {
	url, err := h.remotes.Parse(raw)
	h.mu.Lock()
	defer h.mu.Unlock()
	var groups []*group
	if err == nil {
		for key, g := range h.groups {
			if key.url == url.String() {
				groups = append(groups, g)
			}
		}
	}
	return h.refresh(groups)
}

func (h *Hub) refresh(groups []*group) *Refresh {
	r := &Refresh{left: len(groups), done: make(chan struct{})}
	if len(groups) == 0 {
		close(r.done)
		return r
	}
	for _, g := range groups {
		g.waiting = append(g.waiting, r)
		g.direct = true
		h.enqueue(g, true)
	}
	h.poke()
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
