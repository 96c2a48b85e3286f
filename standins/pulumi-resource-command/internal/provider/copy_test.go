package provider_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"sealos-istio/standins/pulumi-resource-command/internal/sshtest"
)

func textAsset(t testing.TB, text string) property.Value {
	t.Helper()
	a, err := asset.FromText(text)
	if err != nil {
		t.Fatal(err)
	}
	return property.New(a)
}

func fileAsset(t testing.TB, path string) property.Value {
	t.Helper()
	a, err := asset.FromPath(path)
	if err != nil {
		t.Fatal(err)
	}
	return property.New(a)
}

func fileArchive(t testing.TB, path string) property.Value {
	t.Helper()
	a, err := archive.FromPath(path)
	if err != nil {
		t.Fatal(err)
	}
	return property.New(a)
}

func TestCopy(t *testing.T) {
	e := newEngine(t)
	host := sshtest.Start(t, sshtest.Options{})
	here := t.TempDir()
	file := write(t, "content", here, "f.txt")
	write(t, "one", here, "tree", "1")
	write(t, "two", here, "tree", "deep", "2")
	tree := filepath.Join(here, "tree")
	tgz := filepath.Join(here, "x.tgz")
	if err := os.WriteFile(tgz, emptyTarGz, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		source property.Value
		to     string
		want   string // file that then holds content; empty: an error
		holds  string // content, or part of the error
	}{
		"text":                       {textAsset(t, "hello"), "t", "t", "hello"},
		"text makes parents":         {textAsset(t, "hello"), "a/b/c", "a/b/c", "hello"},
		"text over a file":           {textAsset(t, "new"), "old", "old", "new"},
		"text onto a directory":      {textAsset(t, "x"), "dir", "", "is a directory"},
		"file":                       {fileAsset(t, file), "g", "g", "content"},
		"file makes parents":         {fileAsset(t, file), "p/q/g", "p/q/g", "content"},
		"file into a directory":      {fileAsset(t, file), "dir", "dir/f.txt", "content"},
		"file over a file":           {fileAsset(t, file), "old", "old", "content"},
		"file below a file":          {fileAsset(t, file), "old/x", "", "old"},
		"directory":                  {fileArchive(t, tree), "new", "new/tree/deep/2", "two"},
		"directory makes parents":    {fileArchive(t, tree), "n/e/w", "n/e/w/tree/1", "one"},
		"directory/":                 {fileArchive(t, tree+"/"), "new", "new/deep/2", "two"},
		"directory into a directory": {fileArchive(t, tree), "dir", "dir/tree/1", "one"},
		"directory onto a file":      {fileArchive(t, tree), "old", "", "exists but is not a directory"},
		"an archive is not unpacked": {fileArchive(t, tgz), "y.tgz", "y.tgz", string(emptyTarGz)},
	} {
		t.Run(name, func(t *testing.T) {
			there := t.TempDir()
			write(t, "old", there, "old")
			write(t, "kept", there, "dir", "kept")
			inputs := props{"connection": to(host), "source": c.source, "remotePath": filepath.Join(there, c.to)}
			created, err := e.create(copyToRemote, inputs)
			if c.want == "" {
				fails(t, err, c.holds)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			equal(t, c.want, read(t, there, c.want), c.holds)
			equal(t, "kept", read(t, there, "dir", "kept"), "kept")
			equal(t, "connection is secret", created.state.Get("connection").Secret(), true)
		})
	}
	eventually(t, "connections closed", func() bool { return host.Open() == 0 })
}

// emptyTarGz is the smallest thing that passes for a .tgz file.
var emptyTarGz = []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x63\x60\x18\x05\xa3\x60\x14\x0c\x77\x00\x00\x2e\xaf\xb5\xef\x00\x04\x00\x00")

func TestCopyUpdateAndDelete(t *testing.T) {
	e := newEngine(t)
	host := sshtest.Start(t, sshtest.Options{})
	there := t.TempDir()
	path := filepath.Join(there, "f")
	inputs := props{"connection": to(host), "source": textAsset(t, "1"), "remotePath": path}
	created := e.mustCreate(copyToRemote, inputs)

	preview, err := created.update(with(inputs, props{"source": textAsset(t, "2")}), true)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "after a preview", read(t, path), "1")
	equal(t, "remotePath", preview.Get("remotePath").AsString(), path)

	steps := []struct {
		name  string
		more  props
		dials int
		file  string
		holds string
	}{
		{"another content", props{"source": textAsset(t, "2")}, 1, "f", "2"},
		{"another path", props{"source": textAsset(t, "2"), "remotePath": path + "2"}, 1, "f2", "2"},
		{"another connection", props{
			"source": textAsset(t, "2"), "remotePath": path + "2", "connection": with(to(host), props{"perDialTimeout": 9}),
		}, 0, "f2", "2"},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			before := host.Count("connect")
			changed := with(inputs, step.more)
			equal(t, "changes", created.diff(changed).HasChanges, true)
			if _, err := created.update(changed, false); err != nil {
				t.Fatal(err)
			}
			equal(t, "connections", host.Count("connect")-before, step.dials)
			equal(t, step.file, read(t, there, step.file), step.holds)
		})
	}
	equal(t, "the copy at the old path", read(t, path), "2")
	host.Stop()
	if err := created.delete(); err != nil {
		t.Errorf("there is no delete, so nothing to fail: %v", err)
	}
	equal(t, "after delete", read(t, path+"2"), "2")
}

func TestCopyRefusesSources(t *testing.T) {
	e := newEngine(t)
	// Not by asset.FromURI, which fetches it.
	remote := &asset.Asset{Sig: asset.AssetSig, URI: "https://example.invalid/x", Hash: "0"}
	members, err := archive.FromAssets(map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	base := props{"connection": props{"host": "127.0.0.1"}, "remotePath": "/x"}
	for name, c := range map[string]struct {
		source any
		want   string
	}{
		"remote asset":      {property.New(remote), "FileAsset or a StringAsset"},
		"archive of assets": {property.New(members), "FileArchive"},
		"unknown":           {property.New(property.Computed), ""},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := e.server.Check(p.CheckRequest{
				Urn: urn(copyToRemote), Inputs: wire(t, value(t, with(base, props{"source": c.source})).AsMap()),
			})
			if err != nil {
				t.Fatal(err)
			}
			var reasons []string
			for _, failure := range response.Failures {
				reasons = append(reasons, failure.Reason)
			}
			if got := strings.Join(reasons, "; "); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("failures %q, want %q", got, c.want)
			}
		})
	}
}
