// Package console prints what the program has to say: coloured lines on standard output (errors too, as sealos v3
// does) and the same text, without colours, in a log file.
package console

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

type level struct {
	rank   int
	label  string
	colour string
}

var (
	failure = level{3, "EROR", "1;31"}
	warning = level{4, "WARN", "1;33"}
	notice  = level{6, "INFO", "1;34"}
	detail  = level{7, "DEBG", "1;44"}
)

var (
	mu        sync.Mutex
	threshold           = detail.rank
	out       io.Writer = os.Stdout
	file      io.Writer
)

// Open directs a copy of every line to path (mode 0660 whatever the umask, appended; its folder is made when missing) and sets whether
// the console shows details. A log file that can't be opened is no error: the console still has everything.
func Open(path string, infoOnly bool) {
	mu.Lock()
	defer mu.Unlock()
	threshold = detail.rank
	if infoOnly {
		threshold = notice.rank
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return
	}
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o660); err == nil {
		_ = f.Chmod(0o660)
		file = f
	}
}

func write(l level, format string, args []any) {
	_, source, line, _ := runtime.Caller(2)
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\r\n")
	text = fmt.Sprintf("%s [%s] [%s:%d] %s", time.Now().Format("15:04:05"), l.label, filepath.Base(source), line, text)
	mu.Lock()
	defer mu.Unlock()
	if l.rank <= threshold {
		fmt.Fprintf(out, "\x1b[%sm%s\x1b[0m\n", l.colour, text)
	}
	if file != nil {
		fmt.Fprintln(file, text)
	}
}

// Error prints a failure; like sealos, it does not end the program.
func Error(format string, args ...any) { write(failure, format, args) }

// Warn prints a warning.
func Warn(format string, args ...any) { write(warning, format, args) }

// Info prints a notice.
func Info(format string, args ...any) { write(notice, format, args) }

// Debug prints a detail, hidden from the console by --info.
func Debug(format string, args ...any) { write(detail, format, args) }
