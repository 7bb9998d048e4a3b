package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// profile has the controller and the API server take a processor profile from
// now on, if profiles are wanted. The function that it returns waits until they
// are written.
func (b *bench) profile(ctx context.Context, moment string, d time.Duration) (wait func()) {
	if b.profiles == "" {
		return func() {}
	}
	var wg sync.WaitGroup
	for _, of := range []struct {
		name, base string
		client     *http.Client
	}{{"abide", "http://" + b.controller.pprof, http.DefaultClient}, {"server", b.sandbox.admin.Host, b.bare.http}} {
		wg.Go(func() {
			url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", of.base, int(d.Seconds()))
			if err := b.takeProfile(ctx, of.client, url, moment+"-"+of.name); err != nil {
				note("no profile of %s: %v", moment, err)
			}
		})
	}
	return wg.Wait
}

func (b *bench) takeProfile(ctx context.Context, client *http.Client, url, moment string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	if err := os.MkdirAll(b.profiles, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("%d-apps-%d-objects-%s.pprof", b.scenario.apps, b.scenario.objects(), strings.ReplaceAll(moment, " ", "-"))
	f, err := os.Create(filepath.Join(b.profiles, name))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(f, resp.Body)
	return err
}
