package simulate

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/utils/lifecycle"
)

func TestStagesAreValid(t *testing.T) {
	stages, err := localStages()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"Node", "Pod", "Service", "PersistentVolumeClaim", "PersistentVolume"} {
		s := stages[internalversion.StageResourceRef{APIGroup: "v1", Kind: kind}]
		if len(s) == 0 {
			t.Errorf("nobody plays %s", kind)
		}
		if _, err := lifecycle.NewLifecycle(s); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestKubeletAnswersLogsAndNothingElse(t *testing.T) {
	h := kubeletHandler()
	for _, tc := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/containerLogs/ns/pod/main?follow=true", http.StatusOK},
		{"POST", "/containerLogs/ns/pod/main", http.StatusForbidden},
		{"POST", "/exec/ns/pod/main?command=id", http.StatusForbidden},
		{"GET", "/exec/ns/pod/main?command=id", http.StatusForbidden},
		{"POST", "/attach/ns/pod/main", http.StatusForbidden},
		{"POST", "/portForward/ns/pod", http.StatusForbidden},
		{"POST", "/run/ns/pod/main?cmd=id", http.StatusForbidden},
		{"GET", "/logs/", http.StatusForbidden},
		{"GET", "/debug/pprof/", http.StatusForbidden},
		{"GET", "/", http.StatusForbidden},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != tc.code || !strings.Contains(w.Body.String(), "simulated") {
			t.Errorf("%s %s: %d %q, want %d", tc.method, tc.path, w.Code, w.Body, tc.code)
		}
	}
}

func TestNewKubeletNeedsItsFiles(t *testing.T) {
	if _, err := NewKubelet(TLSFiles{Cert: "/nonexistent", Key: "/nonexistent", ClientCA: "/nonexistent"}); err == nil {
		t.Error("no error without certificates")
	}
}
