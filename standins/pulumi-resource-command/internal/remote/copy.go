package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"sealos-istio/standins/pulumi-resource-command/internal/standin"
)

// CopyToRemote is the resource command:remote:CopyToRemote. It has no delete: what was copied stays.
type CopyToRemote struct{}

// Annotate describes the resource.
func (c *CopyToRemote) Annotate(a infer.Annotator) {
	a.Describe(&c, standin.Notice+". Copies a file, a text or a directory to a host over SFTP.")
}

// CopyInputs are the inputs of the resource.
type CopyInputs struct {
	Connection *Connection          `pulumi:"connection" provider:"secret"`
	Triggers   *[]any               `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Source     types.AssetOrArchive `pulumi:"source"`
	RemotePath string               `pulumi:"remotePath"`
}

// Annotate describes the inputs.
func (i *CopyInputs) Annotate(a infer.Annotator) {
	a.Describe(&i.Connection, "How to reach the host; a secret as a whole.")
	a.Describe(&i.Triggers, "Values of any kind; the resource is replaced when one changes.")
	a.Describe(&i.Source, "A FileAsset, StringAsset or FileArchive; an archive is copied as it is, a directory with all in it.")
	a.Describe(&i.RemotePath, "Where to copy to. Missing parent directories are made; into an existing directory "+
		"the source goes under its own name; an existing file is overwritten by a file.")
}

// CopyState are the outputs of the resource.
type CopyState struct{ CopyInputs }

var (
	_ infer.CustomCheck[CopyInputs]             = (*CopyToRemote)(nil)
	_ infer.CustomUpdate[CopyInputs, CopyState] = (*CopyToRemote)(nil)
)

// Check refuses sources that cannot be copied.
func (*CopyToRemote) Check(ctx context.Context, request infer.CheckRequest) (infer.CheckResponse[CopyInputs], error) {
	inputs, failures, err := infer.DefaultCheck[CopyInputs](ctx, request.NewInputs)
	response := infer.CheckResponse[CopyInputs]{Inputs: inputs, Failures: failures}
	if source, ok := request.NewInputs.GetOk("source"); err != nil || len(failures) > 0 || !ok || source.HasComputed() {
		return response, err
	}
	property, reason := inputs.sourceFault()
	if reason != "" {
		response.Failures = append(response.Failures, p.CheckFailure{Property: property, Reason: reason})
	}
	return response, nil
}

func (i *CopyInputs) sourceFault() (property, reason string) {
	asset, archive := i.Source.Asset, i.Source.Archive
	switch {
	case asset != nil && archive != nil:
		return "asset", "only one of asset or archive can be set"
	case asset == nil && archive == nil:
		return "asset", "either asset or archive must be set"
	case asset != nil && !asset.IsPath() && !asset.IsText():
		return "asset", "the asset must be a FileAsset or a StringAsset"
	case archive != nil && !archive.IsPath():
		return "archive", "the archive must be a FileArchive: a file or a directory"
	}
	return "", ""
}

func (i *CopyInputs) hash() string {
	if i.Source.Archive != nil {
		return i.Source.Archive.Hash
	}
	return i.Source.Asset.Hash
}

// Create copies the source; a preview dials nobody.
func (*CopyToRemote) Create(
	ctx context.Context, request infer.CreateRequest[CopyInputs],
) (infer.CreateResponse[CopyState], error) {
	response := infer.CreateResponse[CopyState]{Output: CopyState{request.Inputs}}
	if request.DryRun {
		return response, nil
	}
	if err := request.Inputs.copy(ctx); err != nil {
		return response, err
	}
	id, err := resource.NewUniqueHex("", 8, 0)
	response.ID = id
	return response, err
}

// Update copies again when the content or the path differs. A changed connection alone copies nothing, and the
// copy at the old path stays: habits of the real one.
func (*CopyToRemote) Update(
	ctx context.Context, request infer.UpdateRequest[CopyInputs, CopyState],
) (infer.UpdateResponse[CopyState], error) {
	response := infer.UpdateResponse[CopyState]{Output: CopyState{request.Inputs}}
	if request.DryRun {
		return response, nil
	}
	if request.Inputs.hash() == request.State.hash() && request.Inputs.RemotePath == request.State.RemotePath {
		return response, nil
	}
	return response, request.Inputs.copy(ctx)
}

func (i *CopyInputs) copy(ctx context.Context) error {
	client, err := i.Connection.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	files, err := sftp.NewClient(client, sftp.UseConcurrentWrites(true))
	if err != nil {
		return err
	}
	defer files.Close()
	target := uploader{files}
	switch {
	case i.Source.Archive != nil:
		return target.put(i.Source.Archive.Path, i.RemotePath)
	case i.Source.Asset.IsText():
		return target.putText(i.Source.Asset.Text, i.RemotePath)
	default:
		return target.put(i.Source.Asset.Path, i.RemotePath)
	}
}

// uploader writes to one host.
type uploader struct{ files *sftp.Client }

// stat returns nil where there is nothing.
func (u uploader) stat(name string) (fs.FileInfo, error) {
	info, err := u.files.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("remote path %s: %w", name, err)
	}
	return info, nil
}

func (u uploader) makeDir(name string) error {
	info, err := u.stat(name)
	if err != nil {
		return err
	}
	if info != nil && !info.IsDir() {
		return fmt.Errorf("remote path %s exists but is not a directory", name)
	}
	if info == nil {
		if err := u.files.MkdirAll(name); err != nil {
			return fmt.Errorf("remote directory %s: %w", name, err)
		}
	}
	return nil
}

func (u uploader) write(content io.Reader, name string) error {
	file, err := u.files.Create(name)
	if err != nil {
		return fmt.Errorf("remote file %s: %w", name, err)
	}
	_, err = file.ReadFrom(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("remote file %s: %w", name, err)
	}
	return nil
}

func (u uploader) putText(text, name string) error {
	info, err := u.stat(name)
	if err != nil {
		return err
	}
	if info != nil && info.IsDir() {
		return fmt.Errorf("remote path %s is a directory: a StringAsset has no name of its own, so remotePath must be a file",
			name)
	}
	if err := u.makeDir(path.Dir(name)); err != nil {
		return err
	}
	return u.write(strings.NewReader(text), name)
}

// put copies a file or a directory. A directory "d" goes to name/d, "d/" goes into name itself.
func (u uploader) put(source, name string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if err := u.makeDir(name); err != nil {
			return err
		}
		if !strings.HasSuffix(source, "/") {
			name = path.Join(name, filepath.Base(source))
		}
		return u.putTree(source, name)
	}
	target, err := u.stat(name)
	if err != nil {
		return err
	}
	if target != nil && target.IsDir() {
		name = path.Join(name, filepath.Base(source))
	} else if err := u.makeDir(path.Dir(name)); err != nil {
		return err
	}
	return u.putFile(source, name)
}

func (u uploader) putFile(source, name string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	return u.write(file, name)
}

func (u uploader) putTree(source, name string) error {
	return fs.WalkDir(os.DirFS(source), ".", func(relative string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := path.Join(name, filepath.ToSlash(relative))
		if entry.IsDir() {
			return u.makeDir(target)
		}
		return u.putFile(filepath.Join(source, relative), target)
	})
}
