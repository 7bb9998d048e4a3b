package file

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// A look of one host or one owner takes no more than a share of the looks, so
// that neither keeps those of others waiting; and all hosts together that last
// did not answer, half of them.

// host is what is known of a host.
type host struct {
	running int
	proven  bool // it answered once
	silent  bool // it did not answer the last look
}

func hostOf(w *Want) string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// host returns what is known of one. The caller holds p.mu.
func (p *Poller) host(name string) *host {
	h := p.hosts[name]
	if h == nil {
		h = &host{}
		p.hosts[name] = h
	}
	return h
}

// sweepHosts forgets the hosts that nobody follows. The caller holds p.mu.
func (p *Poller) sweepHosts() {
	if len(p.hosts) <= 2*len(p.names)+8 {
		return
	}
	named := map[string]bool{}
	for _, f := range p.names {
		named[hostOf(&f.want)] = true
	}
	for name, h := range p.hosts {
		if h.running == 0 && !named[name] {
			delete(p.hosts, name)
		}
	}
}

// room tells whether a look may begin. The caller holds p.mu.
func (p *Poller) room(w *Want) bool {
	share := max(1, p.o.Parallel/2)
	h := p.host(hostOf(w))
	switch {
	case p.looking >= p.o.Parallel, h.running >= share, p.owners[w.Owner] >= share:
		return false
	case h.silent && (h.running > 0 || p.silent >= share):
		return false
	}
	return h.proven && !h.silent || p.doubted < max(1, p.o.Parallel*3/4)
}

// due is what is to be looked at.
type due struct {
	name string
	f    *followed
}

// begin begins the looks that are due, as far as there is room, and returns for
// how long there is nothing more to do.
func (p *Poller) begin(ctx context.Context, looks *sync.WaitGroup) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, next := time.Now(), p.o.MaxBackoff
	var list []due
	for name, f := range p.names {
		wait := f.due.Sub(now)
		switch {
		case f.looking || ctx.Err() != nil:
		case wait > 0:
			next = min(next, wait)
		default: // those there is no room for are due when a look is over
			list = append(list, due{name, f})
		}
	}
	for len(list) > 0 {
		list = slices.DeleteFunc(list, func(d due) bool { return !p.room(&d.f.want) })
		if len(list) == 0 {
			break
		}
		// Owners take turns, and the looks of each in the order that they fell due.
		i := slices.Index(list, slices.MinFunc(list, func(a, b due) int {
			return cmp.Or(cmp.Compare(p.owners[a.f.want.Owner], p.owners[b.f.want.Owner]), a.f.due.Compare(b.f.due), cmp.Compare(a.name, b.name))
		}))
		p.start(ctx, list[i], looks)
		list = slices.Delete(list, i, i+1)
	}
	return next
}

// start begins a look. The caller holds p.mu.
func (p *Poller) start(ctx context.Context, d due, looks *sync.WaitGroup) {
	f := d.f
	l := look{want: f.want, etag: f.etag, since: f.since, waits: f.waits}
	h := p.host(hostOf(&l.want))
	silent, doubted := h.silent, h.silent || !h.proven
	f.looking, f.asked, f.waits = true, false, nil
	count := func(by int) {
		p.looking += by
		h.running += by
		if p.owners[l.want.Owner] += by; p.owners[l.want.Owner] == 0 {
			delete(p.owners, l.want.Owner)
		}
		if silent {
			p.silent += by
		}
		if doubted {
			p.doubted += by
		}
	}
	count(1)
	looks.Go(func() {
		p.look(ctx, d.name, f, l, func(err error) {
			count(-1)
			h.heard(err)
			p.sweepHosts()
		})
	})
}

// heard takes over what a look says of its host.
func (h *host) heard(err error) {
	var e *Error
	if !errors.As(err, &e) {
		h.proven, h.silent = true, false
		return
	}
	switch e.Kind {
	case "HostUnreachable", "FetchTimeout":
		h.silent = true
	case "AddressBlocked", "CacheFailed", "CredentialsInvalid", "URLInvalid": // it was not asked
	default:
		h.proven, h.silent = true, false
	}
}
