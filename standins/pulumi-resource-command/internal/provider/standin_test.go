package provider_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"

	"sealos-istio/standins/pulumi-resource-command/internal/sshtest"
	"sealos-istio/standins/pulumi-resource-command/internal/standin"
)

func TestRunsNothingUnlessTold(t *testing.T) {
	host := sshtest.Start(t, sshtest.Options{})
	mark := filepath.Join(t.TempDir(), "mark")
	for name, s := range scopes(t, host) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			inputs := with(s.base, props{"create": "touch " + mark, "delete": "touch " + mark})
			allowed := e.mustCreate(s.token, inputs)
			os.Remove(mark)
			dials := host.Count("connect")
			for _, setting := range []string{"", "1", "Lab", standin.Lab + " "} {
				t.Setenv(standin.Variable, setting)
				e.previewCreate(s.token, inputs) // needs no permission
				_, err := e.create(s.token, inputs)
				fails(t, err, "STAND-IN", standin.Variable)
				_, err = allowed.update(with(inputs, props{"stdin": "x"}), false)
				fails(t, err, "STAND-IN")
				fails(t, allowed.delete(), "STAND-IN")
			}
			equal(t, "connections", host.Count("connect"), dials)
		})
	}
	t.Run("invoke", func(t *testing.T) {
		e := newEngine(t)
		t.Setenv(standin.Variable, "")
		_, err := e.server.Invoke(p.InvokeRequest{
			Token: "command:local:run", Args: value(t, props{"command": "touch " + mark}).AsMap(),
		})
		fails(t, err, "STAND-IN")
	})
	t.Run("copy", func(t *testing.T) {
		e := newEngine(t)
		t.Setenv(standin.Variable, "")
		_, err := e.create(copyToRemote, props{"connection": to(host), "source": textAsset(t, "x"), "remotePath": mark})
		fails(t, err, "STAND-IN")
	})
	if _, err := os.Stat(mark); err == nil {
		t.Error("something ran")
	}
}

// In the lab only literal addresses of the lab are dialled. No case here gets as far as a connection.
func TestLabAddresses(t *testing.T) {
	for host, allowed := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "198.51.100.11": true, "198.19.255.254": true,
		"::ffff:198.18.0.5": true,
		"localhost":         false, "sealos01": false, "192.168.0.2": false, "198.51.101.1": false, "203.0.112.255": false,
		"192.0.2.1": false, "::2": false, "::ffff:192.168.0.2": false, "198.18.0.5:22": false, "": false, "0.0.0.0": false,
		"2001:db8::1": false, "198.18.0.5 ": false,
	} {
		t.Setenv(standin.Variable, standin.Lab)
		if err := standin.AllowHost(host); (err == nil) != allowed {
			t.Errorf("%q in the lab: %v", host, err)
		}
		t.Setenv(standin.Variable, standin.Anywhere)
		if err := standin.AllowHost(host); err != nil {
			t.Errorf("%q when allowed in words: %v", host, err)
		}
		t.Setenv(standin.Variable, "")
		if err := standin.AllowHost(host); err == nil {
			t.Errorf("%q without permission", host)
		}
	}
	e := newEngine(t)
	host := sshtest.Start(t, sshtest.Options{})
	for name, connection := range map[string]props{
		"host":  {"host": "192.168.0.2", "proxy": to(host)},
		"proxy": with(to(host), props{"proxy": props{"host": "192.168.0.2"}}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.create(remoteCommand, props{"connection": connection, "create": "true"})
			fails(t, err, `not to "192.168.0.2"`)
		})
	}
	equal(t, "connections", host.Count("connect"), 0)
}

// The schema against the names of the Python SDK pulumi-command 1.2.1.
func TestSchemaMatchesTheSDK(t *testing.T) {
	e := newEngine(t)
	response, err := e.server.GetSchema(p.GetSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Name, Version, Description string
		Resources                  map[string]struct {
			InputProperties, Properties map[string]any
			RequiredInputs, Required    []string
		}
		Functions map[string]struct {
			Inputs, Outputs struct {
				Properties map[string]any
				Required   []string
			}
		}
		Types map[string]struct {
			Properties map[string]struct{ Default any }
			Required   []string
			Enum       []struct{ Value string }
		}
	}
	if err := json.Unmarshal([]byte(response.Schema), &schema); err != nil {
		t.Fatal(err)
	}
	equal(t, "name", schema.Name, "command")
	equal(t, "version", schema.Version, "1.2.1")
	contains(t, "description", schema.Description, "STAND-IN")

	names := func(what string, got []string, want string) {
		t.Helper()
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, " "), want)
		}
	}
	keys := func(m map[string]any) []string { return slices.Collect(maps.Keys(m)) }
	names("resources", slices.Collect(maps.Keys(schema.Resources)), "command:local:Command command:remote:Command command:remote:CopyToRemote")
	names("functions", slices.Collect(maps.Keys(schema.Functions)), "command:local:run")
	names("types", slices.Collect(maps.Keys(schema.Types)),
		"command:local:Logging command:remote:Connection command:remote:Logging command:remote:ProxyConnection")

	for token, want := range map[string]struct{ inputs, outputs, requiredInputs, required string }{
		localCommand: {
			"addPreviousOutputInEnv archivePaths assetPaths create delete dir environment interpreter logging stdin triggers update",
			"addPreviousOutputInEnv archive archivePaths assetPaths assets create delete dir environment interpreter logging stderr stdin stdout triggers update",
			"", "stderr stdout",
		},
		remoteCommand: {
			"addPreviousOutputInEnv connection create delete environment logging stdin triggers update",
			"addPreviousOutputInEnv connection create delete environment logging stderr stdin stdout triggers update",
			"connection", "connection stderr stdout",
		},
		copyToRemote: {
			"connection remotePath source triggers", "connection remotePath source triggers",
			"connection remotePath source", "connection remotePath source",
		},
	} {
		r := schema.Resources[token]
		names(token+" inputs", keys(r.InputProperties), want.inputs)
		names(token+" outputs", keys(r.Properties), want.outputs)
		names(token+" required inputs", r.RequiredInputs, want.requiredInputs)
		names(token+" required", r.Required, want.required)
		equal(t, token+" triggers replace", propertyOf(t, response.Schema, token, "triggers")["replaceOnChanges"], any(true))
		if token != localCommand {
			equal(t, token+" connection is secret", propertyOf(t, response.Schema, token, "connection")["secret"], any(true))
		}
	}
	run := schema.Functions["command:local:run"]
	names("run inputs", keys(run.Inputs.Properties),
		"addPreviousOutputInEnv archivePaths assetPaths command dir environment interpreter logging stdin")
	names("run outputs", keys(run.Outputs.Properties),
		"addPreviousOutputInEnv archive archivePaths assetPaths assets command dir environment interpreter logging stderr stdin stdout")
	names("run required", run.Outputs.Required, "command stderr stdout")

	login := "agentSocketPath dialErrorLimit host hostKey password perDialTimeout port privateKey privateKeyPassword"
	for token, want := range map[string]string{
		"command:remote:Connection": login + " proxy user", "command:remote:ProxyConnection": login + " user",
	} {
		object := schema.Types[token]
		names(token, slices.Collect(maps.Keys(object.Properties)), want)
		names(token+" required", object.Required, "host")
		for name, want := range map[string]any{"user": "root", "port": 22.0, "dialErrorLimit": 10.0, "perDialTimeout": 15.0, "password": nil} {
			equal(t, token+" default of "+name, object.Properties[name].Default, want)
		}
	}
	for _, token := range []string{"command:local:Logging", "command:remote:Logging"} {
		var values []string
		for _, v := range schema.Types[token].Enum {
			values = append(values, v.Value)
		}
		names(token, values, "none stderr stdout stdoutAndStderr")
	}
}

func propertyOf(t testing.TB, schema, token, name string) map[string]any {
	t.Helper()
	var parsed struct {
		Resources map[string]struct {
			InputProperties map[string]map[string]any
		}
	}
	if err := json.Unmarshal([]byte(schema), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed.Resources[token].InputProperties[name]
}
