package sshtest

import (
	"errors"
	"io"
	"net"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

func (h *Host) serve(config *ssh.ServerConfig) {
	for {
		connection, err := h.listener.Accept()
		if err != nil {
			return
		}
		go h.serveConnection(connection, config)
	}
}

func (h *Host) serveConnection(connection net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = connection.Close() }()
	_, channels, requests, err := ssh.NewServerConn(connection, config)
	if err != nil {
		return
	}
	h.network.mu.Lock()
	h.network.connections++
	number := h.network.connections
	h.network.mu.Unlock()
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, asked, err := offered.Accept()
		if err != nil {
			return
		}
		go h.serveSession(channel, asked, number)
	}
}

func (h *Host) serveSession(channel ssh.Channel, requests <-chan *ssh.Request, connection int) {
	defer func() { _ = channel.Close() }()
	pty := false
	for request := range requests {
		switch request.Type {
		case "pty-req":
			pty = true
			_ = request.Reply(true, nil)
		case "exec":
			var body struct{ Command string }
			if ssh.Unmarshal(request.Payload, &body) != nil {
				return
			}
			_ = request.Reply(true, nil)
			h.execute(channel, body.Command, pty, connection)
			return
		case "subsystem":
			_ = request.Reply(true, nil)
			files := &fileSystem{host: h, connection: connection}
			server := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: files, FilePut: files, FileCmd: files, FileList: files})
			_ = server.Serve()
			return
		default:
			_ = request.Reply(false, nil)
		}
	}
}

func (h *Host) execute(channel ssh.Channel, command string, pty bool, connection int) {
	h.network.record(Operation{Host: h.Address, Text: command, Pty: pty, Connection: connection})
	reply := h.answer(command)
	if reply.Status < 0 {
		return
	}
	output := reply.Output
	if pty {
		output = strings.ReplaceAll(output, "\n", "\r\n")
	}
	_, _ = io.WriteString(channel, output)
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(reply.Status)}))
}

// fileSystem takes files and has every folder.
type fileSystem struct {
	host       *Host
	connection int
}

func (f *fileSystem) Fileread(*sftp.Request) (io.ReaderAt, error) {
	return nil, errors.New("nothing is read")
}

func (f *fileSystem) Filewrite(request *sftp.Request) (io.WriterAt, error) {
	name := path.Clean(request.Filepath)
	f.host.network.record(Operation{Host: f.host.Address, Text: "put " + name, Connection: f.connection})
	f.host.Place(name, []byte{})
	return &file{host: f.host, name: name}, nil
}

func (f *fileSystem) Filecmd(*sftp.Request) error { return nil }

func (f *fileSystem) Filelist(request *sftp.Request) (sftp.ListerAt, error) {
	return folder{path.Base(request.Filepath)}, nil
}

type file struct {
	host *Host
	name string
}

func (f *file) WriteAt(data []byte, offset int64) (int, error) {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	content := f.host.files[f.name]
	if end := int(offset) + len(data); end > len(content) {
		content = append(content, make([]byte, end-len(content))...)
	}
	copy(content[offset:], data)
	f.host.files[f.name] = content
	return len(data), nil
}

type folder struct{ name string }

func (f folder) ListAt(list []os.FileInfo, offset int64) (int, error) {
	if offset > 0 || len(list) == 0 {
		return 0, io.EOF
	}
	list[0] = f
	return 1, io.EOF
}

func (f folder) Name() string       { return f.name }
func (f folder) Size() int64        { return 0 }
func (f folder) Mode() os.FileMode  { return os.ModeDir | 0o755 }
func (f folder) ModTime() time.Time { return time.Time{} }
func (f folder) IsDir() bool        { return true }
func (f folder) Sys() any           { return nil }
