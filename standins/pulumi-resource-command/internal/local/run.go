package local

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gobwas/glob"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"sealos-istio/standins/pulumi-resource-command/internal/standin"
	"sealos-istio/standins/pulumi-resource-command/internal/stream"
)

// run runs command and fills result, which holds the outputs of the run before, if any.
func run(ctx context.Context, command string, settings RunSettings, result *RunResult) error {
	if err := standin.Allow(); err != nil {
		return err
	}
	standin.Announce(ctx)

	argv := []string{"/bin/sh", "-c"}
	if settings.Interpreter != nil && len(*settings.Interpreter) > 0 {
		argv = append([]string(nil), *settings.Interpreter...)
	}
	argv = append(argv, command)
	// The context ends on cancellation and on the resource's own custom timeout; the process is killed then,
	// its children are not.
	process := exec.CommandContext(ctx, argv[0], argv[1:]...)

	if settings.Dir != nil {
		process.Dir = *settings.Dir
	} else {
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		process.Dir = dir
	}
	process.Env = environment(settings, result)
	if settings.Stdin != nil && *settings.Stdin != "" {
		process.Stdin = strings.NewReader(*settings.Stdin)
	}
	logging := ""
	if settings.Logging != nil {
		logging = string(*settings.Logging)
	}
	capture := stream.New(ctx, logging)
	process.Stdout, process.Stderr = capture.Stdout, capture.Stderr
	err := process.Run()
	capture.Finish()
	if err != nil {
		return capture.Failure(err, command)
	}
	if settings.AssetPaths != nil {
		found, err := find(process.Dir, *settings.AssetPaths)
		if err != nil {
			return err
		}
		// The framework refuses bare assets in the results of an invoke; the schema is the same.
		assets := make(map[string]types.AssetOrArchive, len(found))
		for name, asset := range found {
			assets[name] = types.AssetOrArchive{Asset: asset}
		}
		result.Assets = &assets
	}
	if settings.ArchivePaths != nil {
		found, err := find(process.Dir, *settings.ArchivePaths)
		if err != nil {
			return err
		}
		members := make(map[string]any, len(found))
		for name, asset := range found {
			members[name] = asset
		}
		if result.Archive, err = resource.NewAssetArchive(members); err != nil {
			return err
		}
	}
	result.Stdout, result.Stderr = capture.Outputs()
	return nil
}

func environment(settings RunSettings, previous *RunResult) []string {
	env := os.Environ()
	if settings.Environment != nil {
		for name, value := range *settings.Environment {
			env = append(env, name+"="+value)
		}
	}
	if settings.AddPreviousOutputInEnv == nil || *settings.AddPreviousOutputInEnv {
		if previous.Stdout != "" {
			env = append(env, stream.PreviousStdout+"="+previous.Stdout)
		}
		if previous.Stderr != "" {
			env = append(env, stream.PreviousStderr+"="+previous.Stderr)
		}
	}
	return env
}

// find returns the files under dir (never directories) that patterns select. Patterns apply in their order, a
// leading ! takes out what was selected so far; * stops at /, ** does not.
func find(dir string, patterns []string) (map[string]*resource.Asset, error) {
	type rule struct {
		match   glob.Glob
		exclude bool
	}
	rules := make([]rule, 0, len(patterns))
	for _, pattern := range patterns {
		text, exclude := strings.CutPrefix(pattern, "!")
		match, err := glob.Compile(text, '/')
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule{match, exclude})
	}
	found := map[string]*resource.Asset{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		selected := false
		for _, rule := range rules {
			if rule.match.Match(name) {
				selected = !rule.exclude
			}
		}
		if !selected {
			return nil
		}
		found[name], err = resource.NewPathAsset(filepath.Join(dir, name))
		return err
	})
	return found, err
}
