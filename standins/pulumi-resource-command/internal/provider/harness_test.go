package provider_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blang/semver"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"sealos-istio/standins/pulumi-resource-command/internal/provider"
	"sealos-istio/standins/pulumi-resource-command/internal/sshtest"
	"sealos-istio/standins/pulumi-resource-command/internal/standin"
)

const (
	remoteCommand = "command:remote:Command"
	copyToRemote  = "command:remote:CopyToRemote"
	localCommand  = "command:local:Command"
)

// props is a resource's inputs or outputs as the engine sends them.
type props map[string]any

// value turns Go values into the engine's; property values pass through.
func value(t testing.TB, raw any) property.Value {
	t.Helper()
	switch raw := raw.(type) {
	case property.Value:
		return raw
	case props:
		members := map[string]property.Value{}
		for name, member := range raw {
			members[name] = value(t, member)
		}
		return property.New(property.NewMap(members))
	case []any:
		members := make([]property.Value, 0, len(raw))
		for _, member := range raw {
			members = append(members, value(t, member))
		}
		return property.New(property.NewArray(members))
	case int:
		return property.New(float64(raw))
	}
	v, err := property.Any(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func with(base props, more props) props {
	all := props{}
	for name, v := range base {
		all[name] = v
	}
	for name, v := range more {
		all[name] = v
	}
	return all
}

// engine plays the Pulumi engine towards one provider.
type engine struct {
	t      testing.TB
	server integration.Server
	log    *recorder
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	t.Setenv(standin.Variable, standin.Lab)
	t.Setenv("SSH_AUTH_SOCK", "")
	server, err := integration.NewServer(context.Background(), provider.Name, semver.MustParse("1.2.1"),
		integration.WithProvider(provider.New()))
	if err != nil {
		t.Fatal(err)
	}
	log := &recorder{}
	before := slog.Default()
	slog.SetDefault(slog.New(log))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &engine{t, server, log}
}

// wire passes properties through the engine's protocol, which gives assets, secrets and unknowns their final form.
func wire(t testing.TB, m property.Map) property.Map {
	t.Helper()
	options := plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true, KeepOutputValues: true}
	sent, err := plugin.MarshalProperties(resource.ToResourcePropertyMap(m), options)
	if err != nil {
		t.Fatal(err)
	}
	received, err := plugin.UnmarshalProperties(sent, options)
	if err != nil {
		t.Fatal(err)
	}
	return resource.FromResourcePropertyMap(received)
}

func urn(token string) resource.URN {
	return resource.NewURN("dev", "test", "", tokens.Type(token), "thing")
}

func (e *engine) check(token string, inputs props) property.Map {
	e.t.Helper()
	response, err := e.server.Check(p.CheckRequest{Urn: urn(token), Inputs: wire(e.t, value(e.t, inputs).AsMap())})
	if err != nil || len(response.Failures) > 0 {
		e.t.Fatalf("check: %v %v", err, response.Failures)
	}
	return wire(e.t, response.Inputs)
}

// thing is a resource that was created.
type thing struct {
	engine *engine
	token  string
	id     string
	inputs property.Map
	state  property.Map
}

func (e *engine) create(token string, inputs props) (*thing, error) {
	e.t.Helper()
	checked := e.check(token, inputs)
	response, err := e.server.Create(p.CreateRequest{Urn: urn(token), Properties: checked})
	return &thing{e, token, response.ID, checked, wire(e.t, response.Properties)}, err
}

func (e *engine) mustCreate(token string, inputs props) *thing {
	e.t.Helper()
	created, err := e.create(token, inputs)
	if err != nil {
		e.t.Fatal(err)
	}
	return created
}

func (e *engine) previewCreate(token string, inputs props) property.Map {
	e.t.Helper()
	response, err := e.server.Create(p.CreateRequest{
		Urn: urn(token), Properties: e.check(token, inputs), DryRun: true,
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return wire(e.t, response.Properties)
}

func (r *thing) diff(inputs props) p.DiffResponse {
	t := r.engine.t
	t.Helper()
	response, err := r.engine.server.Diff(p.DiffRequest{
		ID: r.id, Urn: urn(r.token), State: r.state, OldInputs: r.inputs, Inputs: r.engine.check(r.token, inputs),
	})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func (r *thing) update(inputs props, preview bool) (property.Map, error) {
	r.engine.t.Helper()
	checked := r.engine.check(r.token, inputs)
	response, err := r.engine.server.Update(p.UpdateRequest{
		ID: r.id, Urn: urn(r.token), State: r.state, OldInputs: r.inputs, Inputs: checked, DryRun: preview,
	})
	if err == nil && !preview {
		r.inputs, r.state = checked, wire(r.engine.t, response.Properties)
	}
	return wire(r.engine.t, response.Properties), err
}

func (r *thing) delete() error {
	return r.engine.server.Delete(p.DeleteRequest{ID: r.id, Urn: urn(r.token), Properties: r.state, OldInputs: r.inputs})
}

func (r *thing) out(name string) string {
	r.engine.t.Helper()
	v := r.state.Get(name)
	if !v.IsString() {
		r.engine.t.Fatalf("%s is %v, want a string", name, v)
	}
	return v.AsString()
}

// to is the connection to a test server, by password and with one quick retry.
func to(s *sshtest.Server) props {
	return props{
		"host": "127.0.0.1", "port": s.Port, "user": sshtest.User, "password": sshtest.Password, "dialErrorLimit": 1,
	}
}

// recorder collects what the provider logs.
type recorder struct {
	mu      sync.Mutex
	records []string
}

func (*recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler     { return r }
func (r *recorder) WithGroup(string) slog.Handler          { return r }
func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, record.Level.String()+" "+record.Message)
	return nil
}

func (r *recorder) matching(part string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for _, record := range r.records {
		if strings.Contains(record, part) {
			found = append(found, record)
		}
	}
	return found
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = nil
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func contains(t testing.TB, what, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%s: %q is not in %q", what, part, got)
		}
	}
}

func fails(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	contains(t, "error", err.Error(), parts...)
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t testing.TB, content string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
	return name
}

// closedPort is a port of loopback that refuses connections.
func closedPort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// eventually waits at most two seconds for something that happens aside.
func eventually(t testing.TB, what string, true_ func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if true_() {
			return
		}
	}
	t.Errorf("%s: not within 2 s", what)
}
