package provider_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"sealos-istio/standins/pulumi-resource-command/internal/sshtest"
)

// scope is one of the two command resources with what it needs to run.
type scope struct {
	token string
	base  props
}

func scopes(t testing.TB, host *sshtest.Server) map[string]scope {
	return map[string]scope{
		"remote": {remoteCommand, props{"connection": to(host)}},
		"local":  {localCommand, props{}},
	}
}

func onBoth(t *testing.T, options sshtest.Options, test func(*testing.T, *engine, scope)) {
	host := sshtest.Start(t, options)
	for name, s := range scopes(t, host) {
		t.Run(name, func(t *testing.T) { test(t, newEngine(t), s) })
	}
}

func TestOutputs(t *testing.T) {
	onBoth(t, sshtest.Options{}, func(t *testing.T, e *engine, s scope) {
		for name, c := range map[string]struct {
			inputs         props
			stdout, stderr string
		}{
			"one line end is lost":       {props{"create": `printf 'a\n\n'; printf 'b\n' >&2`}, "a\n", "b"},
			"no line end, nothing lost":  {props{"create": `printf ' a '; printf 'b ' >&2`}, " a ", "b "},
			"stdin is passed":            {props{"create": "cat", "stdin": "in\n\n"}, "in\n", ""},
			"no stdin reads as empty":    {props{"create": "cat; echo end"}, "end", ""},
			"empty stdin reads as empty": {props{"create": "cat; echo end", "stdin": ""}, "end", ""},
			"no create runs nothing":     {props{"delete": "true"}, "", ""},
		} {
			t.Run(name, func(t *testing.T) {
				created := e.mustCreate(s.token, with(s.base, c.inputs))
				equal(t, "stdout", created.out("stdout"), c.stdout)
				equal(t, "stderr", created.out("stderr"), c.stderr)
				if !strings.HasPrefix(created.id, "thing") || len(created.id) != len("thing")+8 {
					t.Errorf("id %q, want the name and 8 hex digits", created.id)
				}
			})
		}
	})
}

// A failed create has no state; its error holds the whole command and all that it wrote, whatever logging says.
func TestFailure(t *testing.T) {
	const many = `i=0; while [ $i -lt 300 ]; do echo "line $i"; i=$((i+1)); done; echo TOPSECRET >&2; exit 7`
	status := map[string]string{remoteCommand: "Process exited with status 7", localCommand: "exit status 7"}
	killed := map[string]string{remoteCommand: "status 137 from signal KILL", localCommand: "signal: killed"}
	onBoth(t, sshtest.Options{}, func(t *testing.T, e *engine, s scope) {
		for _, logging := range []string{"none", "stdoutAndStderr"} {
			created, err := e.create(s.token, with(s.base, props{"create": many, "logging": logging}))
			fails(t, err, status[s.token]+": running ", fmt.Sprintf("%q", many), "\nline 0\n", "\nline 299\n", "TOPSECRET\n")
			equal(t, "id", created.id, "")
		}
		_, err := e.create(s.token, with(s.base, props{"create": "echo last words; kill -KILL $$"}))
		fails(t, err, killed[s.token], "last words")
	})
}

func TestLogging(t *testing.T) {
	for logging, want := range map[string][]string{
		"":                {"INFO err", "INFO out"},
		"stdoutAndStderr": {"INFO err", "INFO out"},
		"stdout":          {"INFO out"},
		"stderr":          {"INFO err"},
		"none":            nil,
	} {
		t.Run("logging="+logging, func(t *testing.T) {
			onBoth(t, sshtest.Options{}, func(t *testing.T, e *engine, s scope) {
				inputs := with(s.base, props{"create": "echo out; echo err >&2"})
				if logging != "" {
					inputs["logging"] = logging
				}
				created := e.mustCreate(s.token, inputs)
				got := e.log.matching("INFO ")
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("log: got %q, want %q", got, want)
				}
				equal(t, "stdout", created.out("stdout"), "out")
				equal(t, "stderr", created.out("stderr"), "err")
			})
		})
	}
	onBoth(t, sshtest.Options{}, func(t *testing.T, e *engine, s scope) {
		e.mustCreate(s.token, with(s.base, props{"create": `printf 'a\r\n\nb'`}))
		if got := e.log.matching("INFO "); !slices.Equal(got, []string{"INFO a", "INFO ", "INFO b"}) {
			t.Errorf("log: got %q", got)
		}
		created := e.mustCreate(s.token, with(s.base, props{"create": "head -c 70000 /dev/zero | tr '\\0' x; echo; echo end"}))
		equal(t, "length", len(created.out("stdout")), 70004)
		equal(t, "warnings", len(e.log.matching("WARN the command wrote a line of 64 KiB or more")), 1)
		equal(t, "lines after it", len(e.log.matching("INFO end")), 0)
	})
}

func TestUpdate(t *testing.T) {
	onBoth(t, sshtest.Options{}, func(t *testing.T, e *engine, s scope) {
		base := with(s.base, props{"create": "echo created", "delete": "echo old"})
		for name, c := range map[string]struct {
			inputs props
			want   string
		}{
			"create again without update":      {with(base, props{"stdin": "x"}), "created"},
			"update":                           {with(base, props{"update": "echo updated"}), "updated"},
			"a changed delete text counts too": {with(base, props{"delete": "echo new", "update": "echo updated"}), "updated"},
			"neither keeps the outputs":        {with(s.base, props{"delete": "echo new"}), "first"},
		} {
			t.Run(name, func(t *testing.T) {
				created := e.mustCreate(s.token, with(base, props{"create": "echo first"}))
				diff := created.diff(c.inputs)
				equal(t, "changes", diff.HasChanges, true)
				for path, change := range diff.DetailedDiff {
					if change.Kind != p.Update && change.Kind != p.Add && change.Kind != p.Delete {
						t.Errorf("%s would replace", path)
					}
				}
				if _, err := created.update(c.inputs, false); err != nil {
					t.Fatal(err)
				}
				equal(t, "stdout", created.out("stdout"), c.want)
				if created.diff(c.inputs).HasChanges {
					t.Error("changes right after the update")
				}
			})
		}
		t.Run("a failed update", func(t *testing.T) {
			created := e.mustCreate(s.token, base)
			_, err := created.update(with(base, props{"update": "exit 3"}), false)
			fails(t, err, "status 3")
		})
	})
}

// A changed trigger replaces, with an update command too.
func TestTriggersReplace(t *testing.T) {
	onBoth(t, sshtest.Options{}, func(t *testing.T, e *engine, s scope) {
		plain := with(s.base, props{"create": "true", "update": "true"})
		created := e.mustCreate(s.token, plain)
		added := created.diff(with(plain, props{"triggers": []any{"a"}}))
		equal(t, "kind of change", added.DetailedDiff["triggers"].Kind, p.AddReplace)

		schema, err := e.server.GetSchema(p.GetSchemaRequest{})
		if err != nil {
			t.Fatal(err)
		}
		// A changed element ("triggers[0]") is turned into a replacement by the SDK's replaceOnChanges, which it has
		// from this flag of the schema.
		equal(t, "replaceOnChanges", propertyOf(t, schema.Schema, s.token, "triggers")["replaceOnChanges"], any(true))
	})
}

func TestDelete(t *testing.T) {
	onBoth(t, sshtest.Options{}, func(t *testing.T, e *engine, s scope) {
		mark := filepath.Join(t.TempDir(), "mark")
		inputs := with(s.base, props{"create": "true", "delete": "cat > " + mark, "stdin": "gone"})
		if err := e.mustCreate(s.token, inputs).delete(); err != nil {
			t.Fatal(err)
		}
		equal(t, "what delete did", read(t, mark), "gone")
		inputs["delete"] = "echo no; exit 4"
		fails(t, e.mustCreate(s.token, inputs).delete(), "status 4", "no\n")
	})
}

func TestEnvironment(t *testing.T) {
	show := `printf '%s' "${FOO-unset} ${PULUMI_COMMAND_STDOUT-unset} ${PULUMI_COMMAND_STDERR-unset}"`
	previous := props{"create": "echo out; echo err >&2", "update": show}
	accepting := sshtest.Options{AcceptEnv: []string{"FOO", "PULUMI_COMMAND_STDOUT", "PULUMI_COMMAND_STDERR"}}

	onBoth(t, accepting, func(t *testing.T, e *engine, s scope) {
		created := e.mustCreate(s.token, with(s.base, previous))
		update := func(more props) string {
			t.Helper()
			if _, err := created.update(with(with(s.base, previous), more), false); err != nil {
				t.Fatal(err)
			}
			return created.out("stdout")
		}
		equal(t, "by default", update(props{"environment": props{"FOO": "bar baz"}}), "bar baz out err")
		equal(t, "again", update(props{"environment": props{"FOO": "2"}}), "2 bar baz out err unset")
		equal(t, "off", update(props{"addPreviousOutputInEnv": false}), "unset unset unset")
	})

	t.Run("remote, not accepted", func(t *testing.T) {
		e := newEngine(t)
		host := sshtest.Start(t, sshtest.Options{})
		base := props{"connection": to(host)}
		_, err := e.create(remoteCommand, with(base, props{"create": "echo x", "environment": props{"FOO": "1"}}))
		fails(t, err, `could not set environment variable "FOO": ssh: setenv failed`)
		equal(t, "commands run", host.Count("exec"), 0)
		equal(t, "errors logged", len(e.log.matching("ERROR the host did not accept the variable FOO")), 1)

		created := e.mustCreate(remoteCommand, with(base, previous))
		if _, err := created.update(with(base, with(previous, props{"stdin": "x"})), false); err != nil {
			t.Fatalf("variables of the run before are only worth a warning, got %v", err)
		}
		equal(t, "stdout", created.out("stdout"), "unset unset unset")
		equal(t, "warnings", len(e.log.matching("WARN the host did not accept the variable PULUMI_COMMAND_STD")), 2)

		asked := host.Count("env")
		if _, err := created.update(with(base, with(previous, props{"addPreviousOutputInEnv": false})), false); err != nil {
			t.Fatal(err)
		}
		equal(t, "variables sent when off", host.Count("env")-asked, 0)
	})
}

// A cancelled update waits for the command, which runs to its end, and a custom timeout is ignored.
func TestNothingStopsARemoteCommand(t *testing.T) {
	host := sshtest.Start(t, sshtest.Options{})
	for name, stop := range map[string]func(*engine){
		"cancel":  func(e *engine) { e.server.Cancel() },
		"timeout": func(*engine) {},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			mark := filepath.Join(t.TempDir(), "mark")
			inputs := e.check(remoteCommand, props{
				"connection": to(host), "create": "touch " + mark + "; sleep 1.2; echo done; rm " + mark,
			})
			ended := make(chan error)
			var response p.CreateResponse
			go func() {
				var err error
				response, err = e.server.Create(p.CreateRequest{Urn: urn(remoteCommand), Properties: inputs, Timeout: 1})
				ended <- err
			}()
			eventually(t, "command runs", func() bool { _, err := os.Stat(mark); return err == nil })
			stop(e)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			equal(t, "stdout", response.Properties.Get("stdout").AsString(), "done")
		})
	}
}

func TestPreview(t *testing.T) {
	unknown := property.New(property.Computed)
	host := sshtest.Start(t, sshtest.Options{AcceptEnv: []string{"A"}})
	for name, s := range scopes(t, host) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			mark := filepath.Join(t.TempDir(), "mark")
			inputs := with(s.base, props{
				"create": "touch " + mark, "delete": "true", "logging": "none", "environment": props{"A": "a"},
			})

			state := e.previewCreate(s.token, inputs)
			for _, output := range []string{"stdout", "stderr"} {
				equal(t, output+" unknown", state.Get(output).IsComputed(), true)
			}
			equal(t, "create is known", state.Get("create").AsString(), "touch "+mark)
			equal(t, "an unknown input stays so",
				e.previewCreate(s.token, with(inputs, props{"stdin": unknown})).Get("stdin").IsComputed(), true)
			if _, err := os.Stat(mark); err == nil {
				t.Error("a preview ran the command")
			}

			created := e.mustCreate(s.token, inputs)
			os.Remove(mark)
			// Not only the commands: any changed input makes the outputs unknown.
			for change, more := range map[string]props{
				"create": {"create": "touch " + mark + " && true"}, "delete": {"delete": "echo"}, "logging": {"logging": "stdout"},
				"stdin": {"stdin": unknown}, "environment": {"environment": props{"A": "b"}},
			} {
				state, err := created.update(with(inputs, more), true)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "stdout unknown after a change of "+change, state.Get("stdout").IsComputed(), true)
			}
			// The framework compares with the state, so an input that was not set before goes unnoticed.
			state, err := created.update(with(inputs, props{"update": "true"}), true)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "stdout unknown after adding an input", state.Get("stdout").IsComputed(), false)
			if _, err := os.Stat(mark); err == nil {
				t.Error("a preview ran the command")
			}
		})
	}
	before := host.Count("connect")
	e := newEngine(t)
	e.previewCreate(remoteCommand, props{"connection": to(host), "create": "true"})
	e.previewCreate(copyToRemote, props{"connection": to(host), "source": textAsset(t, "x"), "remotePath": "/x"})
	equal(t, "connections made by previews", host.Count("connect"), before)
}

// The whole connection is a secret; stdin is one when the program says so; outputs are not.
func TestSecrets(t *testing.T) {
	e := newEngine(t)
	host := sshtest.Start(t, sshtest.Options{})
	stdin := property.New("hush").WithSecret(true)
	inputs := props{"connection": to(host), "create": "cat", "stdin": stdin}
	created := e.mustCreate(remoteCommand, inputs)
	for name, m := range map[string]property.Map{
		"inputs": created.inputs, "state": created.state, "preview": e.previewCreate(remoteCommand, inputs),
	} {
		for key, want := range map[string]bool{
			"connection": true, "stdin": true, "create": false, "stdout": false, "stderr": false,
		} {
			if v, ok := m.GetOk(key); ok {
				equal(t, name+": "+key+" is secret", v.Secret(), want)
			}
		}
	}
	equal(t, "stdout", created.out("stdout"), "hush")

	local := e.mustCreate(localCommand, props{"create": "cat", "stdin": stdin})
	equal(t, "local stdin is secret", local.state.Get("stdin").Secret(), true)
	equal(t, "local stdout is secret", local.state.Get("stdout").Secret(), false)
	// A changed secret is a change, though nobody sees which.
	equal(t, "changes", created.diff(with(inputs, props{"connection": with(to(host), props{"perDialTimeout": 3})})).HasChanges, true)
}

func TestDefaults(t *testing.T) {
	e := newEngine(t)
	got := e.check(remoteCommand, props{"connection": props{"host": "127.0.0.1", "proxy": props{"host": "127.0.0.1"}}})
	connection := got.Get("connection").AsMap()
	for name, c := range map[string]property.Map{"connection": connection, "proxy": connection.Get("proxy").AsMap()} {
		equal(t, name+" user", c.Get("user").AsString(), "root")
		equal(t, name+" port", c.Get("port").AsNumber(), 22)
		equal(t, name+" dialErrorLimit", c.Get("dialErrorLimit").AsNumber(), 10)
		equal(t, name+" perDialTimeout", c.Get("perDialTimeout").AsNumber(), 15)
	}
	if _, set := got.GetOk("addPreviousOutputInEnv"); set {
		t.Error("addPreviousOutputInEnv has no default in the SDK's schema")
	}
	for _, bad := range []props{
		{"create": "true"},
		{"connection": props{"user": "root"}},
		{"connection": to(sshtest.Start(t, sshtest.Options{})), "create": 5},
	} {
		response, err := e.server.Check(p.CheckRequest{Urn: urn(remoteCommand), Inputs: value(t, bad).AsMap()})
		if err == nil && len(response.Failures) == 0 {
			t.Errorf("%v passes the check", bad)
		}
	}
}
