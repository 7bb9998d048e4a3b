package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// bareClient sends requests and does nothing else: the yardstick.
type bareClient struct {
	rest  rest.Interface
	http  *http.Client
	fleet *fleet
	clone string // a bare clone for bare fetches
}

func newBareClient(cfg *rest.Config, f *fleet, clone string) (*bareClient, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.ContentConfig.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	c, err := rest.UnversionedRESTClientForConfigAndClient(cfg, h)
	return &bareClient{rest: c, http: h, fleet: f, clone: clone}, err
}

func path(u *unstructured.Unstructured) string {
	gvr := resource(u)
	root := "/apis/" + gvr.Group + "/" + gvr.Version
	if gvr.Group == "" {
		root = "/api/" + gvr.Version
	}
	return strings.Join([]string{root, "namespaces", u.GetNamespace(), gvr.Resource}, "/")
}

func (c *bareClient) apply(ctx context.Context, u *unstructured.Unstructured, dryRun bool) error {
	body, err := json.Marshal(u.Object)
	if err != nil {
		return err
	}
	r := c.rest.Patch(types.ApplyPatchType).AbsPath(path(u), u.GetName()).
		Param("fieldManager", "bare").Param("force", "true").Param("fieldValidation", "Strict").Body(body)
	if dryRun {
		r = r.Param("dryRun", "All")
	}
	return r.Do(ctx).Error()
}

// record is an object of the size of an App's inventory.
func record(namespace string, app, objects int) *unstructured.Unstructured {
	u := object("v1", "ConfigMap", "record-"+appName(app), nil)
	u.SetNamespace(namespace)
	entries := map[string]any{}
	for i := range objects {
		entries[fmt.Sprintf("entry-%04d", i)] = strings.Repeat("e", 250)
	}
	u.Object["data"] = entries
	return u
}

func (c *bareClient) send(ctx context.Context, verb string, at string, u *unstructured.Unstructured) error {
	body, err := json.Marshal(u.Object)
	if err != nil {
		return err
	}
	return c.rest.Verb(verb).AbsPath(at).SetHeader("Content-Type", "application/json").Param("fieldManager", "bare").Body(body).Do(ctx).Error()
}

func (c *bareClient) create(ctx context.Context, u *unstructured.Unstructured) error {
	return c.send(ctx, "POST", path(u), u)
}

func (c *bareClient) update(ctx context.Context, u *unstructured.Unstructured) error {
	return c.send(ctx, "PUT", path(u)+"/"+u.GetName(), u)
}

// patch is what a write of an App's status is like.
func (c *bareClient) patch(ctx context.Context, u *unstructured.Unstructured) error {
	body := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, valueKey, strings.Repeat("s", 1500))
	return c.rest.Patch(types.MergePatchType).AbsPath(path(u), u.GetName()).Body(body).Do(ctx).Error()
}
