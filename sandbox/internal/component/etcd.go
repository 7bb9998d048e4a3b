package component

import (
	"context"
	"errors"
	"net/url"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd serves one member on a unix socket. It does not fsync: the data
// survives the death of every process, not that of the machine.
func runEtcd(ctx context.Context, args []string) error {
	fs := pflag.NewFlagSet(Etcd, pflag.ContinueOnError)
	dir := fs.String("data-dir", "", "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg := embed.NewConfig()
	cfg.Name = "sandbox"
	cfg.Dir = *dir
	cfg.LogLevel, cfg.LogOutputs = "warn", []string{"stderr"}
	client := url.URL{Scheme: "unix", Host: EtcdSocket}
	peer := url.URL{Scheme: "unix", Host: "etcd-peer.sock"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = true
	// A single member elects itself; the usual second of election timeout
	// would be a second of start-up. Shorter ticks would cost the idle CPU more.
	cfg.TickMs, cfg.ElectionMs = 25, 125
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "revision", "1000"
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer e.Close()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-e.Err():
		return err
	case <-e.Server.StopNotify():
		return errors.New("the server stopped")
	}
}
