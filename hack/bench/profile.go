package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// profile has the controller take a processor profile from now on, if profiles
// are wanted. The function that it returns waits until it is written.
func (b *bench) profile(ctx context.Context, moment string, d time.Duration) (wait func()) {
	if b.profiles == "" {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.takeProfile(ctx, moment, d); err != nil {
			note("no profile of %s: %v", moment, err)
		}
	}()
	return func() { <-done }
}

func (b *bench) takeProfile(ctx context.Context, moment string, d time.Duration) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", b.controller.pprof, int(d.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
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
