package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
)

type healthOptions struct {
	files, rules []string
	output       formatFlag
	exitCode     bool
}

// judgedObject is what health says of an object, as it is printed.
type judgedObject struct {
	File       string          `json:"file"`
	Line       int             `json:"line,omitempty"`
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Namespace  string          `json:"namespace,omitempty"`
	Name       string          `json:"name"`
	Health     v1alpha1.Health `json:"health"`
	Message    string          `json:"message,omitempty"`
	// Rule is where the rule that decided stands; empty if none did.
	Rule string `json:"rule,omitempty"`

	key object.Key
}

func newHealth(s Streams) *cobra.Command {
	var o healthOptions
	c := &cobra.Command{
		Use:   "health -f FILE [--rules FILE]",
		Short: "Say how healthy the objects of a file are, and why, without a cluster",
		Long: "Say how healthy abide would find the objects of a file, which kubectl get -o yaml has\n" +
			"written, and why. It needs no cluster. With --rules, the rules of a file are tried before\n" +
			"those that abide brings along, as those of an installation are: this is how to write one.\n" +
			"The file has a list of rules, or HealthRules and Apps as kubectl get -o yaml writes them.\n" +
			"docs/health.md says how.\n\n" +
			"It ends with 0 whatever the health is, and with 1 if a file can't be read or a rule is\n" +
			"wrong. With --exit-code, it ends with 4 if an object is Progressing, Degraded or Unknown.",
		Example: "  kubectl get deploy,certificate -o yaml | abide health -f -\n" +
			"  abide health -f database.yaml --rules database-rules.yaml -o wide",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runHealth(s, o) },
	}
	f := c.Flags()
	f.StringArrayVarP(&o.files, "filename", "f", nil, "`file` of objects in YAML or JSON; - for standard input")
	f.StringArrayVar(&o.rules, "rules", nil, "`file` of rules, tried before those that are shipped; of several, in their order")
	f.BoolVar(&o.exitCode, "exit-code", false, "end with 4 if an object is Progressing, Degraded or Unknown")
	o.output.add(c, asWide, asYAML, asJSON)
	return c
}

func runHealth(s Streams, o healthOptions) error {
	if len(o.files) == 0 {
		return &exitError{exitUsage, errors.New("health takes a file of objects: -f FILE, or -f - for standard input")}
	}
	rules := health.Rules{}
	for _, name := range o.rules {
		content, err := readInput(s, name, health.MaxFileBytes)
		if err != nil {
			return err
		}
		r, err := readRules(name, content)
		if err != nil {
			return err
		}
		rules = rules.Before(r)
	}
	evaluator := health.NewEvaluator(rules.Before(health.Shipped()))
	var judged []judgedObject
	for _, name := range o.files {
		content, err := readInput(s, name, limit.Default().FileBytes)
		if err != nil {
			return err
		}
		if name == "-" {
			name = "stdin"
		}
		objects, ignored, err := manifest.Decode(name, content, limit.Default())
		if err != nil {
			return err
		}
		for _, i := range ignored {
			fmt.Fprintf(s.Err, "warning: %s:%d: %s\n", clean(i.Path), i.Line, clean(i.Reason))
		}
		for _, obj := range objects {
			v := evaluator.Explain(obj.Unstructured)
			judged = append(judged, judgedObject{
				File: obj.Origin.File, Line: obj.Origin.Line,
				APIVersion: obj.GetAPIVersion(), Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName(),
				Health: v.Health, Message: v.Message, Rule: v.Rule, key: object.KeyOf(obj.Unstructured),
			})
		}
	}
	if len(judged) == 0 {
		return fmt.Errorf("there is no object in %s", strings.Join(o.files, ", "))
	}
	if err := printHealth(s.Out, o.output.format, judged); err != nil {
		return err
	}
	for i := range judged {
		if h := judged[i].Health; o.exitCode && h != v1alpha1.HealthHealthy && h != v1alpha1.HealthSuspended {
			return &exitError{exitDifferences, nil}
		}
	}
	return nil
}

// readRules reads the rules of a file: a list of them, or HealthRules, in the order
// of their names, and Apps that have some, which go before.
func readRules(name string, content []byte) (health.Rules, error) {
	if !holdsObjects(content) {
		return health.Parse(name, content)
	}
	if name == "-" {
		name = "stdin"
	}
	objects, _, err := manifest.Decode(name, content, limit.Default())
	if err != nil {
		return health.Rules{}, err
	}
	slices.SortStableFunc(objects, func(a, b manifest.Object) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetName(), b.GetName()))
	})
	var all health.Rules
	for _, o := range objects {
		rules, err := rulesOf(o.Unstructured)
		if err != nil {
			return health.Rules{}, fmt.Errorf("%s:%d: %w", o.Origin.File, o.Origin.Line, err)
		}
		all = all.Before(rules)
	}
	if all.Empty() {
		return all, fmt.Errorf("%s: it has no rules: neither a list under \"health\", nor a HealthRule, nor an App with spec.health.rules", name)
	}
	return all, nil
}

// holdsObjects tells a file of objects from one of rules, which has no kind.
func holdsObjects(content []byte) bool {
	return bytes.HasPrefix(content, []byte("kind:")) || bytes.Contains(content, []byte("\nkind:")) ||
		bytes.HasPrefix(bytes.TrimSpace(content), []byte("{"))
}

// rulesOf returns the rules of a HealthRule or an App; another kind has none.
func rulesOf(u *unstructured.Unstructured) (health.Rules, error) {
	convert := func(into any) error {
		return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, into, true)
	}
	switch u.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Group: v1alpha1.Group, Kind: "HealthRule"}:
		var r v1alpha1.HealthRule
		if err := convert(&r); err != nil {
			return health.Rules{}, err
		}
		return health.OfHealthRule(&r)
	case schema.GroupKind{Group: v1alpha1.Group, Kind: "App"}:
		var app v1alpha1.App
		if err := convert(&app); err != nil {
			return health.Rules{}, err
		}
		rules, err := health.OfApp(&app)
		if err != nil {
			return rules, err
		}
		return rules, rules.Check()
	}
	return health.Rules{}, nil
}

func printHealth(w io.Writer, f format, judged []judgedObject) error {
	if f == asYAML || f == asJSON {
		return printValue(w, f, judged)
	}
	st := styleOf(w)
	t := table{head: []string{"OBJECT", "HEALTH", "MESSAGE"}}
	if f == asWide {
		t.head = []string{"OBJECT", "HEALTH", "RULE", "MESSAGE"}
	}
	t.paint = func(row, column int, text string) string {
		if row >= 0 && column == 1 {
			return st.state(text)
		}
		return text
	}
	for _, j := range judged {
		cells := []string{j.key.String(), string(j.Health), j.Message}
		if f == asWide {
			by := j.Rule
			if by == "" {
				by = "kstatus"
			}
			cells = []string{j.key.String(), string(j.Health), by, j.Message}
		}
		t.add(cells...)
	}
	t.print(w, nil, true)
	return nil
}

// readInput reads a file, or standard input, of a bounded size.
func readInput(s Streams, name string, most int64) ([]byte, error) {
	in := s.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return content, nil
}
