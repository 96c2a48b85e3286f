package hosts

import (
	"crypto/md5" // sealos v3 compares files by MD5
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/pkg/sftp"

	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/faults"
)

// Exists says whether host has a file at remote.
func (f *Fleet) Exists(host, remote string) bool {
	return f.Word(faults.None, host, fmt.Sprintf("ls -l %s 2>/dev/null |wc -l", remote)) != "0"
}

func md5Command(remote string) string { return fmt.Sprintf(`md5sum %s | cut -d" " -f1`, remote) }

// Send brings the local file to remote on host unless the same content is there already, and compares the MD5 sums
// afterwards. Like sealos, it reports a failure or a difference and goes on.
func (f *Fleet) Send(step faults.Step, host, local, remote string) {
	report(host, local, remote, f.Strike(step, host, func() error {
		f.Try(faults.None, host, fmt.Sprintf("mkdir -p %s || true", path.Dir(remote)))
		want, err := fileMD5(local)
		if err != nil {
			return err
		}
		if f.Exists(host, remote) {
			if f.Word(faults.None, host, md5Command(remote)) == want {
				console.Info("[%s] %s is there already, with the same md5", host, remote)
				return nil
			}
			f.Try(faults.None, host, "rm -rf "+remote)
		}
		if err := f.put(host, local, remote); err != nil {
			return err
		}
		if f.Word(faults.None, host, md5Command(remote)) != want {
			return fmt.Errorf("md5 of %s differs from the local file's", remote)
		}
		console.Info("[%s] %s copied, md5 compared", host, remote)
		return nil
	}))
}

func report(host, local, remote string, err error) {
	if err != nil {
		console.Error("[%s] copy %s to %s: %s", host, local, remote, err)
	}
}

// put copies a file, or every file below a folder, over one connection.
func (f *Fleet) put(host, local, remote string) error {
	client, err := f.dial(host)
	if err != nil {
		return err
	}
	files, err := sftp.NewClient(client)
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	return filepath.WalkDir(local, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(local, name)
		if err != nil {
			return err
		}
		target := path.Join(remote, filepath.ToSlash(relative))
		if entry.IsDir() {
			return files.MkdirAll(target)
		}
		return putFile(files, name, target)
	})
}

// Put brings the local file or folder to remote on host, without a look at what is there before or afterwards.
func (f *Fleet) Put(step faults.Step, host, local, remote string) {
	report(host, local, remote, f.Strike(step, host, func() error { return f.put(host, local, remote) }))
}

// PutText writes text to remote on host over SFTP; a failure is reported only.
func (f *Fleet) PutText(step faults.Step, host, text, remote string) {
	report(host, "text", remote, f.Strike(step, host, func() error {
		temporary, err := os.CreateTemp("", "sealos-*")
		if err != nil {
			return err
		}
		defer func() { _ = os.Remove(temporary.Name()) }()
		_, err = temporary.WriteString(text)
		if err := errors.Join(err, temporary.Close()); err != nil {
			return err
		}
		return f.put(host, temporary.Name(), remote)
	}))
}

func putFile(files *sftp.Client, local, remote string) (err error) {
	source, err := os.Open(local)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := files.Create(remote)
	if err != nil {
		return err
	}
	_, err = target.ReadFrom(source)
	if closed := target.Close(); err == nil {
		err = closed
	}
	return err
}

func fileMD5(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	sum := md5.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
