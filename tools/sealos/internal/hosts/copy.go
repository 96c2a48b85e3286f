package hosts

import (
	"bytes"
	"crypto/md5" // sealos v3 compares files by MD5
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"sealos-istio/tools/sealos/internal/console"
	"sealos-istio/tools/sealos/internal/faults"
)

// Exists says whether host has a file at remote.
func (f *Fleet) Exists(step faults.Step, host, remote string) bool {
	return f.Word(step, host, fmt.Sprintf("ls -l %s 2>/dev/null |wc -l", remote)) != "0"
}

func md5Command(remote string) string { return fmt.Sprintf(`md5sum %s | cut -d" " -f1`, remote) }

// Send brings the local file to remote on host unless the same content is there already, and compares the MD5 sums
// afterwards. Like sealos, it reports a difference and goes on; the result says whether all was well.
func (f *Fleet) Send(step faults.Step, host, local, remote string) bool {
	f.Try(step, host, fmt.Sprintf("mkdir -p %s || true", path.Dir(remote)))
	want, err := fileMD5(local)
	if err != nil {
		console.Error("[%s] %s", host, err)
		return false
	}
	if f.Exists(step, host, remote) {
		if f.Word(step, host, md5Command(remote)) == want {
			console.Info("[%s] %s is there already, with the same md5", host, remote)
			return true
		}
		f.Try(step, host, "rm -rf "+remote)
	}
	return f.put(step, host, local, remote, want)
}

func (f *Fleet) put(step faults.Step, host, local, remote, want string) bool {
	err := f.faults.Strike(step, host, func() error {
		client, err := f.dial(host)
		if err != nil {
			return err
		}
		files, err := sftp.NewClient(client)
		if err != nil {
			return err
		}
		defer func() { _ = files.Close() }()
		return putFile(files, local, remote)
	})
	if err != nil {
		console.Error("[%s] copy %s to %s: %s", host, local, remote, err)
		return false
	}
	return sameMD5(host, remote, f.Word(step, host, md5Command(remote)), want)
}

// PutText writes text to remote on host over SFTP; a failure is reported and returned as false.
func (f *Fleet) PutText(step faults.Step, host, text, remote string) bool {
	temporary, err := os.CreateTemp("", "sealos-*")
	if err != nil {
		console.Error("%s", err)
		return false
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.WriteString(text)
	if closed := temporary.Close(); err != nil || closed != nil {
		console.Error("write %s: %v %v", temporary.Name(), err, closed)
		return false
	}
	want := md5.Sum([]byte(text))
	return f.put(step, host, temporary.Name(), remote, hex.EncodeToString(want[:]))
}

// SendTree copies every file below local to remote on host over one connection and compares each MD5 sum.
func (f *Fleet) SendTree(step faults.Step, host, local, remote string) bool {
	same := true
	err := f.faults.Strike(step, host, func() error {
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
			if err := putFile(files, name, target); err != nil {
				return err
			}
			want, err := fileMD5(name)
			if err != nil {
				return err
			}
			same = compareOn(client, host, target, want) && same
			return nil
		})
	})
	if err != nil {
		console.Error("[%s] copy %s to %s: %s", host, local, remote, err)
	}
	return err == nil && same
}

func compareOn(client *ssh.Client, host, remote, want string) bool {
	output, err := runOn(client, md5Command(remote))
	if err != nil {
		console.Error("[%s] md5 of %s: %s", host, remote, err)
	}
	return sameMD5(host, remote, string(bytes.TrimSpace(output)), want)
}

func sameMD5(host, remote, got, want string) bool {
	if strings.TrimSpace(got) != want {
		console.Error("[%s] md5 of %s differs from the local file's", host, remote)
		return false
	}
	console.Info("[%s] %s copied, md5 compared", host, remote)
	return true
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
