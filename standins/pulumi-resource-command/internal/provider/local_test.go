package provider_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
)

func TestLocalSettings(t *testing.T) {
	e := newEngine(t)
	dir := t.TempDir()
	write(t, "here", dir, "file")
	t.Setenv("INHERITED", "yes")
	for name, c := range map[string]struct {
		inputs props
		want   string
	}{
		"shell":                          {props{"create": "echo $0 $INHERITED"}, "/bin/sh yes"},
		"interpreter":                    {props{"create": "a b", "interpreter": []any{"/bin/echo", "-n", "x"}}, "x a b"},
		"empty interpreter is the shell": {props{"create": "echo $((1+1))", "interpreter": []any{}}, "2"},
		"dir":                            {props{"create": "cat file", "dir": dir}, "here"},
		"environment":                    {props{"create": "echo \"$A $INHERITED\"", "environment": props{"A": "1 2", "INHERITED": "no"}}, "1 2 no"},
	} {
		t.Run(name, func(t *testing.T) {
			equal(t, "stdout", e.mustCreate(localCommand, c.inputs).out("stdout"), c.want)
		})
	}
	_, err := e.create(localCommand, props{"create": "true", "dir": filepath.Join(dir, "none")})
	fails(t, err, "no such file or directory")
	_, err = e.create(localCommand, props{"create": "true", "interpreter": []any{"/no/such/program"}})
	fails(t, err, "/no/such/program", `running "true"`)
}

func TestAssets(t *testing.T) {
	e := newEngine(t)
	dir := t.TempDir()
	for _, name := range []string{"assets/logos/logo.svg", "src/index.js", "src/secret.js", "src/deep/er.js", "top.txt"} {
		write(t, name, dir, name)
	}
	for name, c := range map[string]struct {
		globs []any
		want  []string
	}{
		"star stops at slash": {[]any{"*.txt", "src/*.js"}, []string{"src/index.js", "src/secret.js", "top.txt"}},
		"two stars do not":    {[]any{"src/**"}, []string{"src/deep/er.js", "src/index.js", "src/secret.js"}},
		"exclude":             {[]any{"assets/**", "src/**.js", "!**secret.*", "!src/deep/*"}, []string{"assets/logos/logo.svg", "src/index.js"}},
		"order counts":        {[]any{"!**secret.*", "src/*.js"}, []string{"src/index.js", "src/secret.js"}},
		"directories never":   {[]any{"src", "assets"}, nil},
		"nothing found":       {[]any{"none"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			state := e.mustCreate(localCommand, props{
				"create": "true", "dir": dir, "assetPaths": c.globs, "archivePaths": c.globs,
			}).state
			assets := state.Get("assets").AsMap()
			names := slices.Sorted(maps.Keys(assets.AsMap()))
			if !slices.Equal(names, c.want) {
				t.Errorf("assets: got %q, want %q", names, c.want)
			}
			for _, name := range names {
				equal(t, "path", assets.Get(name).AsAsset().Path, filepath.Join(dir, name))
			}
			archive := state.Get("archive").AsArchive()
			names = slices.Sorted(maps.Keys(archive.Assets))
			if !slices.Equal(names, c.want) {
				t.Errorf("archive: got %q, want %q", names, c.want)
			}
		})
	}
	_, err := e.create(localCommand, props{"create": "true", "dir": dir, "assetPaths": []any{"["}})
	fails(t, err, "unexpected end of input")
	if _, set := e.mustCreate(localCommand, props{"create": "true", "dir": dir}).state.GetOk("assets"); set {
		t.Error("assets without assetPaths")
	}
}

// Unlike a remote command, a local one dies when the update is cancelled or its custom timeout is over.
func TestLocalCommandIsKilled(t *testing.T) {
	for name, stop := range map[string]func(*engine){
		"cancel":  func(e *engine) { e.server.Cancel() },
		"timeout": func(*engine) {},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			ended := make(chan error)
			go func() {
				_, err := e.server.Create(p.CreateRequest{
					Urn: urn(localCommand), Timeout: 1,
					Properties: value(t, props{"create": "echo started; exec sleep 20"}).AsMap(),
				})
				ended <- err
			}()
			eventually(t, "command runs", func() bool { return len(e.log.matching("INFO started")) == 1 })
			stop(e)
			select {
			case err := <-ended:
				fails(t, err, "signal: killed")
			case <-time.After(5 * time.Second):
				t.Fatal("still runs")
			}
		})
	}
}

func TestRunInvoke(t *testing.T) {
	e := newEngine(t)
	dir := t.TempDir()
	write(t, "x", dir, "a.txt")
	invoke := func(arguments props) (p.InvokeResponse, error) {
		return e.server.Invoke(p.InvokeRequest{Token: "command:local:run", Args: value(t, arguments).AsMap()})
	}
	response, err := invoke(props{
		"command": "cat; echo $A; pwd >&2", "stdin": "in\n", "environment": props{"A": "b"}, "dir": dir,
		"assetPaths": []any{"*.txt"}, "logging": "none",
	})
	if err != nil || len(response.Failures) > 0 {
		t.Fatal(err, response.Failures)
	}
	equal(t, "stdout", response.Return.Get("stdout").AsString(), "in\nb")
	equal(t, "stderr", response.Return.Get("stderr").AsString(), dir)
	equal(t, "command", response.Return.Get("command").AsString(), "cat; echo $A; pwd >&2")
	equal(t, "asset", wire(t, response.Return).Get("assets").AsMap().Get("a.txt").AsAsset().Path, filepath.Join(dir, "a.txt"))
	equal(t, "log", len(e.log.matching("INFO")), 0)

	_, err = invoke(props{"command": "echo no; exit 2"})
	fails(t, err, "exit status 2", "no\n")
	response, err = invoke(props{"dir": dir})
	if err == nil && len(response.Failures) == 0 {
		t.Error("passes without a command")
	}
	if err != nil && !strings.Contains(err.Error(), "command") {
		t.Errorf("error does not name the argument: %v", err)
	}
}
