package engine

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// TestRequestsEnd: a request for abide's own records ends, whatever the API
// server does with it.
func TestRequestsEnd(t *testing.T) {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	for name, answer := range map[string]http.HandlerFunc{
		"no answer": func(http.ResponseWriter, *http.Request) { <-over },
		"come back in an hour": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			t.Cleanup(server.CloseClientConnections)
			scheme, err := Scheme()
			if err != nil {
				t.Fatal(err)
			}
			mapper := meta.NewDefaultRESTMapper(nil)
			mapper.Add(v1alpha1.GroupVersion.WithKind("App"), meta.RESTScopeNamespace)
			c, err := bounded(200*time.Millisecond)(&rest.Config{Host: server.URL}, client.Options{Scheme: scheme, Mapper: mapper, HTTPClient: http.DefaultClient})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app"}}
			if err := c.Status().Update(ctx, app); err == nil || ctx.Err() != nil {
				t.Errorf("the request ended with %v", err)
			}
		})
	}
}
