package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Ports are the TCP ports of one run, all on 127.0.0.1.
type Ports struct {
	API     int `json:"api"`
	Kubelet int `json:"kubelet"`
}

// Listeners are open sockets for Ports. They are opened before the processes
// that serve them start and are handed over to them, so no other program can
// take a port in between.
type Listeners struct{ API, Kubelet *os.File }

// Close closes this process's copies.
func (l Listeners) Close() {
	for _, f := range []*os.File{l.API, l.Kubelet} {
		if f != nil {
			f.Close()
		}
	}
}

// Listen opens the listeners. apiPort 0 means: the port of the last run if it
// is free, so that kubeconfigs stay valid, or else any free one.
func (d Dir) Listen(apiPort int) (Listeners, Ports, error) {
	last := d.lastPorts()
	var (
		ls  Listeners
		ps  Ports
		err error
	)
	if apiPort != 0 {
		ls.API, ps.API, err = listen(apiPort)
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("port %d on 127.0.0.1 is in use: choose another --port, or 0 for a free one", apiPort)
		}
	} else {
		ls.API, ps.API, err = listenAgain(last.API)
	}
	if err != nil {
		return Listeners{}, Ports{}, err
	}
	if ls.Kubelet, ps.Kubelet, err = listenAgain(last.Kubelet); err != nil {
		ls.Close()
		return Listeners{}, Ports{}, err
	}
	b, err := json.Marshal(ps)
	if err == nil {
		err = WriteFile(d.portsFile(), append(b, '\n'))
	}
	if err != nil {
		ls.Close()
		return Listeners{}, Ports{}, err
	}
	return ls, ps, nil
}

func (d Dir) portsFile() string { return filepath.Join(string(d), "ports.json") }

// lastPorts reads the last run's ports. They are a wish, so whatever is wrong
// with the file counts as none.
func (d Dir) lastPorts() Ports {
	var p Ports
	b, err := os.ReadFile(d.portsFile())
	if err != nil || json.Unmarshal(b, &p) != nil {
		return Ports{}
	}
	return p
}

func listenAgain(last int) (*os.File, int, error) {
	if last > 0 && last < 1<<16 {
		if f, p, err := listen(last); err == nil {
			return f, p, nil
		}
	}
	return listen(0)
}

func listen(port int) (*os.File, int, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, 0, err
	}
	defer l.Close()
	tl := l.(*net.TCPListener)
	f, err := tl.File()
	if err != nil {
		return nil, 0, err
	}
	return f, tl.Addr().(*net.TCPAddr).Port, nil
}
