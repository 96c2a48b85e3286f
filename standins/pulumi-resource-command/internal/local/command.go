// Package local has command:local:Command and the invoke command:local:run.
package local

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"sealos-istio/standins/pulumi-resource-command/internal/standin"
	"sealos-istio/standins/pulumi-resource-command/internal/stream"
)

// Command is the resource command:local:Command.
//
// It has no WireDependencies, like the real one: on an update every output counts as changed by any changed
// input, and only an output of the same name takes over an input's secrecy.
type Command struct{}

// Annotate describes the resource.
func (c *Command) Annotate(a infer.Annotator) {
	a.Describe(&c, standin.Notice+". Runs a command on this machine.")
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

// RunSettings are the inputs that the resource and the invoke share.
type RunSettings struct {
	Stdin                  *string            `pulumi:"stdin,optional"`
	Logging                *Logging           `pulumi:"logging,optional"`
	Interpreter            *[]string          `pulumi:"interpreter,optional"`
	Dir                    *string            `pulumi:"dir,optional"`
	Environment            *map[string]string `pulumi:"environment,optional"`
	AssetPaths             *[]string          `pulumi:"assetPaths,optional"`
	ArchivePaths           *[]string          `pulumi:"archivePaths,optional"`
	AddPreviousOutputInEnv *bool              `pulumi:"addPreviousOutputInEnv,optional"`
}

// Annotate describes the shared inputs.
func (s *RunSettings) Annotate(a infer.Annotator) {
	a.Describe(&s.Stdin, "What the command reads from standard input.")
	a.Describe(&s.Logging, "Which streams are shown while the command runs; a failing command shows all of them.")
	a.Describe(&s.Interpreter, "Program and arguments that get the command as last argument; /bin/sh -c by default.")
	a.Describe(&s.Dir, "Working directory of the command.")
	a.Describe(&s.Environment, "Variables added to the command's environment.")
	a.Describe(&s.AssetPaths, "Globs of the files to return one by one; a leading ! takes matches out again.")
	a.Describe(&s.ArchivePaths, "Globs of the files to return as one archive; a leading ! takes matches out again.")
	a.Describe(&s.AddPreviousOutputInEnv,
		"Whether the outputs of the run before are in the environment (PULUMI_COMMAND_STDOUT, PULUMI_COMMAND_STDERR).")
}

// RunResult are the outputs that the resource and the invoke share.
type RunResult struct {
	Stdout  string                           `pulumi:"stdout"`
	Stderr  string                           `pulumi:"stderr"`
	Assets  *map[string]types.AssetOrArchive `pulumi:"assets,optional"`
	Archive *resource.Archive                `pulumi:"archive,optional"`
}

// Annotate describes the shared outputs.
func (r *RunResult) Annotate(a infer.Annotator) {
	a.Describe(&r.Stdout, "Standard output without one trailing line end.")
	a.Describe(&r.Stderr, "Standard error without one trailing line end.")
	a.Describe(&r.Assets, "The files that assetPaths found, by path relative to dir.")
	a.Describe(&r.Archive, "The files that archivePaths found.")
}

// CommandInputs are the inputs of the resource.
type CommandInputs struct {
	Triggers *[]any  `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Create   *string `pulumi:"create,optional"`
	Update   *string `pulumi:"update,optional"`
	Delete   *string `pulumi:"delete,optional"`
	RunSettings
}

// Annotate describes the resource's own inputs.
func (i *CommandInputs) Annotate(a infer.Annotator) {
	a.Describe(&i.Triggers, "Values of any kind; the resource is replaced when one changes.")
	a.Describe(&i.Create, "Command to run on creation, and on a change of inputs when there is no update command.")
	a.Describe(&i.Update, "Command to run on a change of inputs.")
	a.Describe(&i.Delete, "Command to run on deletion.")
}

// CommandState are the outputs of the resource.
type CommandState struct {
	CommandInputs
	RunResult
}

var (
	_ infer.CustomUpdate[CommandInputs, CommandState] = (*Command)(nil)
	_ infer.CustomDelete[CommandState]                = (*Command)(nil)
)

// Create runs the create command; a preview runs nothing.
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
	err = run(ctx, *request.Inputs.Create, request.Inputs.RunSettings, &response.Output.RunResult)
	return response, err
}

// Update runs the update command, or the create command where there is none.
func (*Command) Update(
	ctx context.Context, request infer.UpdateRequest[CommandInputs, CommandState],
) (infer.UpdateResponse[CommandState], error) {
	state := CommandState{CommandInputs: request.Inputs, RunResult: request.State.RunResult}
	command := request.Inputs.Update
	if command == nil {
		command = request.Inputs.Create
	}
	var err error
	if !request.DryRun && command != nil {
		err = run(ctx, *command, request.Inputs.RunSettings, &state.RunResult)
	}
	return infer.UpdateResponse[CommandState]{Output: state}, err
}

// Delete runs the delete command with the inputs in the state.
func (*Command) Delete(ctx context.Context, request infer.DeleteRequest[CommandState]) (infer.DeleteResponse, error) {
	state := request.State
	if state.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	return infer.DeleteResponse{}, run(ctx, *state.Delete, state.RunSettings, &state.RunResult)
}

// Run is the invoke command:local:run. It runs on every preview and update.
type Run struct{}

// Annotate describes the invoke.
func (r *Run) Annotate(a infer.Annotator) {
	a.Describe(&r, standin.Notice+". Runs a command on this machine, at every preview and update.")
}

// RunInputs are the arguments of the invoke.
type RunInputs struct {
	RunSettings
	Command string `pulumi:"command"`
}

// Annotate describes the invoke's own argument.
func (i *RunInputs) Annotate(a infer.Annotator) { a.Describe(&i.Command, "The command to run.") }

// RunOutputs are the results of the invoke.
type RunOutputs struct {
	RunInputs
	RunResult
}

// Invoke runs the command.
func (*Run) Invoke(
	ctx context.Context, request infer.FunctionRequest[RunInputs],
) (infer.FunctionResponse[RunOutputs], error) {
	out := RunOutputs{RunInputs: request.Input}
	err := run(ctx, request.Input.Command, request.Input.RunSettings, &out.RunResult)
	return infer.FunctionResponse[RunOutputs]{Output: out}, err
}
