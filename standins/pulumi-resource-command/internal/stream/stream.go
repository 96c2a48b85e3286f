// Package stream collects what a command writes and shows it line by line while it runs.
package stream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
)

// Names of the variables that carry the outputs of the run before.
const (
	PreviousStdout = "PULUMI_COMMAND_STDOUT"
	PreviousStderr = "PULUMI_COMMAND_STDERR"
)

// longestLine is where the real provider's line reader gives up.
const longestLine = 64 * 1024

// Values of the `logging` input.
const (
	LogStdout          = "stdout"
	LogStderr          = "stderr"
	LogStdoutAndStderr = "stdoutAndStderr"
	LogNone            = "none"
)

// Capture holds one command's output. Stdout and Stderr may be written at the same time.
type Capture struct {
	Stdout, Stderr io.Writer

	mu             sync.Mutex
	stdout, stderr bytes.Buffer
	both           bytes.Buffer // in order of arrival, for the error
	log            func(string)
	warn           func(string)
	line           []byte
	gaveUp         bool
}

// New makes a Capture that streams what logging asks for ("" means both).
func New(ctx context.Context, logging string) *Capture {
	logger := p.GetLogger(ctx)
	c := &Capture{log: logger.InfoStatus, warn: logger.Warning}
	all := logging == "" || logging == LogStdoutAndStderr
	c.Stdout = &side{c, &c.stdout, all || logging == LogStdout}
	c.Stderr = &side{c, &c.stderr, all || logging == LogStderr}
	return c
}

type side struct {
	capture *Capture
	buffer  *bytes.Buffer
	shown   bool
}

func (s *side) Write(data []byte) (int, error) {
	s.capture.mu.Lock()
	defer s.capture.mu.Unlock()
	s.buffer.Write(data)
	s.capture.both.Write(data)
	if s.shown {
		s.capture.show(data)
	}
	return len(data), nil
}

func (c *Capture) show(data []byte) {
	for len(data) > 0 && !c.gaveUp {
		head, rest, found := bytes.Cut(data, []byte("\n"))
		c.line = append(c.line, head...)
		if len(c.line) >= longestLine {
			c.gaveUp = true
			c.warn("the command wrote a line of 64 KiB or more: its output is shown no further. " +
				"By its source the real provider would not go on at all; set logging to none for such commands")
			return
		}
		if found {
			c.flush()
		}
		data = rest
	}
}

func (c *Capture) flush() {
	c.log(strings.TrimSuffix(string(c.line), "\r"))
	c.line = c.line[:0]
}

// Finish shows a last line without line end, if any. Call it when the command has ended.
func (c *Capture) Finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.line) > 0 && !c.gaveUp {
		c.flush()
	}
}

// Outputs returns stdout and stderr, each without one trailing line end.
func (c *Capture) Outputs() (stdout, stderr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.TrimSuffix(c.stdout.String(), "\n"), strings.TrimSuffix(c.stderr.String(), "\n")
}

// Failure tells why command failed, with all that it wrote: the real provider does so too, whatever `logging` says.
func (c *Capture) Failure(cause error, command string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("%w: running %q:\n%s", cause, command, c.both.String())
}
