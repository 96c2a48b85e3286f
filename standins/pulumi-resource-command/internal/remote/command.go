// Package remote has command:remote:Command and command:remote:CopyToRemote.
package remote

import (
	"context"
	"fmt"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"golang.org/x/crypto/ssh"

	"sealos-istio/standins/pulumi-resource-command/internal/standin"
	"sealos-istio/standins/pulumi-resource-command/internal/stream"
)

// Command is the resource command:remote:Command. It has no WireDependencies, like the real one.
type Command struct{}

// Annotate describes the resource.
func (c *Command) Annotate(a infer.Annotator) {
	a.Describe(&c, standin.Notice+". Runs a command on a host over SSH.")
}

// Logging says which streams are shown while a command runs.
type Logging string

// Values lists the enum.
func (Logging) Values() []infer.EnumValue[Logging] {
	return []infer.EnumValue[Logging]{
		{Name: "stdout", Value: stream.LogStdout, Description: "Show stdout"},
		{Name: "stderr", Value: stream.LogStderr, Description: "Show stderr"},
		{Name: "stdoutAndStderr", Value: stream.LogStdoutAndStderr, Description: "Show both (default)"},
		{Name: "none", Value: stream.LogNone, Description: "Show nothing"},
	}
}

// CommandInputs are the inputs of the resource.
type CommandInputs struct {
	Connection             *Connection       `pulumi:"connection" provider:"secret"`
	Triggers               *[]any            `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Create                 *string           `pulumi:"create,optional"`
	Update                 *string           `pulumi:"update,optional"`
	Delete                 *string           `pulumi:"delete,optional"`
	Stdin                  *string           `pulumi:"stdin,optional"`
	Environment            map[string]string `pulumi:"environment,optional"`
	Logging                *Logging          `pulumi:"logging,optional"`
	AddPreviousOutputInEnv *bool             `pulumi:"addPreviousOutputInEnv,optional"`
}

// Annotate describes the inputs.
func (i *CommandInputs) Annotate(a infer.Annotator) {
	a.Describe(&i.Connection, "How to reach the host; a secret as a whole.")
	a.Describe(&i.Triggers, "Values of any kind; the resource is replaced when one changes.")
	a.Describe(&i.Create, "Command to run on creation, and on a change of inputs when there is no update command.")
	a.Describe(&i.Update, "Command to run on a change of inputs.")
	a.Describe(&i.Delete, "Command to run on deletion.")
	a.Describe(&i.Stdin, "What the command reads from standard input.")
	a.Describe(&i.Environment, "Variables to set; the host's sshd must accept each of them (AcceptEnv).")
	a.Describe(&i.Logging, "Which streams are shown while the command runs; a failing command shows all of them.")
	a.Describe(&i.AddPreviousOutputInEnv,
		"Whether the outputs of the run before are in the environment (PULUMI_COMMAND_STDOUT, PULUMI_COMMAND_STDERR).")
}

// CommandState are the outputs of the resource.
type CommandState struct {
	CommandInputs
	Stdout string `pulumi:"stdout"`
	Stderr string `pulumi:"stderr"`
}

// Annotate describes the outputs.
func (s *CommandState) Annotate(a infer.Annotator) {
	a.Describe(&s.Stdout, "Standard output without one trailing line end.")
	a.Describe(&s.Stderr, "Standard error without one trailing line end.")
}

var (
	_ infer.CustomUpdate[CommandInputs, CommandState] = (*Command)(nil)
	_ infer.CustomDelete[CommandState]                = (*Command)(nil)
)

// Create runs the create command; a preview dials nobody.
func (*Command) Create(
	ctx context.Context, request infer.CreateRequest[CommandInputs],
) (infer.CreateResponse[CommandState], error) {
	response := infer.CreateResponse[CommandState]{Output: CommandState{CommandInputs: request.Inputs}}
	id, err := resource.NewUniqueHex(request.Name, 8, 0)
	if err != nil {
		return response, err
	}
	response.ID = id
	if request.DryRun || request.Inputs.Create == nil {
		return response, nil
	}
	return response, response.Output.run(ctx, *request.Inputs.Create)
}

// Update runs the update command, or the create command where there is none, whichever input changed.
func (*Command) Update(
	ctx context.Context, request infer.UpdateRequest[CommandInputs, CommandState],
) (infer.UpdateResponse[CommandState], error) {
	state := CommandState{CommandInputs: request.Inputs, Stdout: request.State.Stdout, Stderr: request.State.Stderr}
	command := request.Inputs.Update
	if command == nil {
		command = request.Inputs.Create
	}
	var err error
	if !request.DryRun && command != nil {
		err = state.run(ctx, *command)
	}
	return infer.UpdateResponse[CommandState]{Output: state}, err
}

// Delete runs the delete command over the connection in the state.
func (*Command) Delete(ctx context.Context, request infer.DeleteRequest[CommandState]) (infer.DeleteResponse, error) {
	state := request.State
	if state.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	return infer.DeleteResponse{}, state.run(ctx, *state.Delete)
}

// run runs command on the host and puts its outputs into the state. Nothing limits how long it takes, and a
// cancelled update leaves it running on the host. The session is closed but the connection is not: it lasts as long
// as the plugin, as with the real one (one more sshd on the host for every command of an update).
func (s *CommandState) run(ctx context.Context, command string) error {
	client, err := s.Connection.dial(ctx)
	if err != nil {
		return err
	}
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	if err := s.setEnvironment(ctx, session); err != nil {
		return err
	}
	if s.Stdin != nil && *s.Stdin != "" {
		session.Stdin = strings.NewReader(*s.Stdin)
	}
	logging := ""
	if s.Logging != nil {
		logging = string(*s.Logging)
	}
	capture := stream.New(ctx, logging)
	session.Stdout, session.Stderr = capture.Stdout, capture.Stderr
	err = session.Run(command)
	capture.Finish()
	if err != nil {
		return capture.Failure(err, command)
	}
	s.Stdout, s.Stderr = capture.Outputs()
	return nil
}

const refused = "the host did not accept the variable %s: its sshd needs AcceptEnv for it; " +
	"with a shell like bash on the host, NAME=value in front of the command does the same"

func (s *CommandState) setEnvironment(ctx context.Context, session *ssh.Session) error {
	log := p.GetLogger(ctx)
	for name, value := range s.Environment {
		if err := session.Setenv(name, value); err != nil {
			log.Errorf(refused, name)
			return fmt.Errorf("could not set environment variable %q: %w", name, err)
		}
	}
	if s.AddPreviousOutputInEnv != nil && !*s.AddPreviousOutputInEnv {
		return nil
	}
	for _, previous := range []struct{ name, value string }{
		{stream.PreviousStdout, s.Stdout}, {stream.PreviousStderr, s.Stderr},
	} {
		if previous.value == "" {
			continue
		}
		if err := session.Setenv(previous.name, previous.value); err != nil {
			log.Warningf(refused, previous.name)
		}
	}
	return nil
}
