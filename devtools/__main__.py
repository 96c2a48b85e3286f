"""`python -m devtools`: the engine and the lab's parts, and what the Makefile's targets do with them (docs/toolchain.md)."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from devtools import builder, doctor, parts, stack, summary, workstation
from devtools import engine as engines
from devtools.builder import BuildFailed
from devtools.golang import ToolMissing
from devtools.parts import PARTS

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Builds, finds and checks what the engine and the lab are made of, and runs the stack dev.",
    epilog="Environment: SEALOS_ISTIO_CACHE (where builds are kept; default sealos-istio in the user's cache directory), DEPS=no.",
)
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


class Purpose(StrEnum):
    """What the doctor looks ahead to (doctor.PURPOSES)."""

    PREVIEW = "preview"
    TOOLS = "tools"
    TEST_FAST = "test-fast"
    UP = "up"
    TEST = "test"


class Only(StrEnum):
    """What a build is for."""

    ENGINE = "engine"
    LAB = "lab"
    DASHBOARDS = "dashboards"
    ISTIO_ON_THE_LAB = "istio-on-1.16"
    ISTIO_LATER = "istio-later"
    ISTIOCTL_ONLY = "istioctl-only"


@app.command()
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="PART…", help="parts (see list); without any, all that the stack dev needs here"),
    ] = None,
    only: Annotated[
        Only | None,
        typer.Option(
            help="only what the engine needs, what the lab needs, Contour, the further Istios of the lab's own Kubernetes, later ones with their Kubernetes, or the istioctl of those that are only rendered"
        ),
    ] = None,
) -> None:
    """Build what the cache lacks, and install Pulumi's plugins."""
    if names:
        builder.build_all([parts.part(name) for name in names], out)
        return
    if only not in (None, Only.ENGINE):
        builder.build_all([part for part in PARTS if part.used_for == only], out)
        return
    engine = engines.prepare(out, stack.lab_parts() if only is None else ())
    out.print(_said(engine), highlight=False)


@app.command()
def tidy(name: Annotated[str, typer.Argument(metavar="PART", help="for example istio-1.23")]) -> None:
    """Make go.mod and go.sum of a part's module complete, after a change of its pins."""
    builder.tidy(parts.part(name))


@app.command("list")
def list_parts() -> None:
    """Show every part: what it is, whether it is built, and where."""
    table = Table("part", "what", "first build", "state", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for part in PARTS:
        state = "built" if parts.is_built(part) else "not built"
        table.add_row(part.name, part.title, parts.minutes(part.seconds), state)
    out.print(table)
    out.print(f"\nCache: {parts.cache_root()}", highlight=False)
    try:
        out.print(_said(engines.present()), highlight=False)
    except ToolMissing as missing:
        out.print(str(missing), highlight=False)


@app.command()
def path(binary: Annotated[str, typer.Argument(help="for example kubectl")]) -> None:
    """Print the path of a built binary (or of etcd, or of the Go that builds)."""
    print(parts.binary(binary))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def go(context: typer.Context) -> None:
    """Run `go …` as the builds do (the same Go, flags and caches), for our own modules' tests and checks."""
    environment = builder.build_environment(dict(os.environ))
    command = [str(parts.binary("go")), *context.args]
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)


@app.command("doctor")
def look(purpose: Annotated[Purpose, typer.Argument(help="what is meant to run")] = Purpose.UP) -> None:
    """Bring what is missing on this machine (DEPS=no: only name it), and say the rest in one message."""
    _healthy(purpose)
    out.print("Nothing is missing.")


@app.command()
def env() -> None:
    """Print shell lines that make plain pulumi commands work here: eval "$(make -s env)"."""
    variables = engines.variables(engines.present())
    # absent where nobody needs them: with a real Pulumi and machines of one's own nothing is built
    with contextlib.suppress(ToolMissing):
        clients = [str(parts.binary(name).parent) for name in ("kubectl", "istioctl")]
        # istioctl-VERSION, for a preview of what that version makes
        further = [part for part in PARTS if part.used_for.startswith("istio") and parts.is_built(part)]
        clients += [str(parts.directory(part)) for part in further]
        variables["PATH"] = engines.path_with(clients, variables["PATH"])
        variables["KUBECONFIG"] = str(summary.kubeconfig_file())
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def verify() -> None:
    """Run every built binary again and compare its version with the pin."""
    wrong = 0
    for part in PARTS:
        if not parts.is_built(part):
            out.print(f"{part.name}: not built")
            continue
        failed = builder.failures(part, parts.directory(part))
        wrong += len(failed)
        out.print(f"{part.name}: {'; '.join(failed) or 'as pinned'}", highlight=False, markup=False)
    if wrong:
        raise typer.Exit(1)


@app.command()
def istioctl() -> None:
    """Install istioctl and its completion for bash and zsh for this user: PREFIX (default ~/.local) and the user's rc files."""
    status = workstation.install_istioctl(parts.binary("istioctl"), os.environ)
    raise typer.Exit(status)


@app.command()
def up() -> None:
    """The lab and the stack dev: everything from nothing, or nothing when all is as it should be."""
    _healthy(Purpose.UP)
    engine = engines.prepare(out, stack.lab_parts())
    _lab("up")
    pulumi = stack.Pulumi.of(engine)
    stack.forget_lost_machines(pulumi, out)
    status = stack.up(pulumi, out)
    if status == 0:
        stack.remember_machines()
        summary.show(pulumi, out)
    raise typer.Exit(status)


@app.command("codes")
def write_codes() -> None:
    """Write the entries of docs/troubleshooting.md's section "Codes" from the table in components/problem.py; what is by hand stays."""
    from devtools import problem_page

    problem_page.PAGE.write_text(problem_page.made(problem_page.PAGE.read_text()))
    out.print(f"Wrote docs/{problem_page.PAGE.name}", highlight=False)


@app.command("schema")
def write_schema(
    check: Annotated[bool, typer.Option("--check", help="only look whether it is up to date")] = False,
) -> None:
    """Write stack.schema.json, by which editors complete and check a stack's file, from the settings' models."""
    from devtools import stack_files

    file = parts.ROOT / stack_files.SCHEMA
    if not check:
        file.write_text(stack_files.schema_text())
        out.print(f"Wrote {stack_files.SCHEMA}", highlight=False)
    elif file.read_text() != stack_files.schema_text():
        err.print(f"{stack_files.SCHEMA} is not what components/config says. Run `make schema`.", highlight=False)
        raise typer.Exit(1)


@app.command("new-stack")
def new_stack(
    name: Annotated[str, typer.Argument(help="the stack's name, for example staging")],
    masters: Annotated[
        str, typer.Option(prompt="Masters (host=address, with blanks between; 1, 3 or 5)", help="host=address …")
    ],
    nodes: Annotated[str, typer.Option(prompt="Nodes (the same)", help="host=address …")],
    known_hosts: Annotated[
        str, typer.Option(prompt="A known_hosts file with their host keys", help="relative to the project")
    ],
    private_key_file: Annotated[
        str,
        typer.Option(
            prompt="Private key file of root (empty: a password, set as a secret later)", prompt_required=True
        ),
    ] = "",
    kubernetes: Annotated[str, typer.Option(prompt="Kubernetes version")] = "v1.16.3",
    profile: Annotated[str, typer.Option(prompt="Istio profile (empty: no mesh)")] = "default",
    protect: Annotated[
        bool, typer.Option(prompt="Shall Pulumi refuse to delete the cluster?", help="refuse to delete the cluster")
    ] = False,
) -> None:
    """Ask for what a stack needs and write its file; an option given on the command line isn't asked for."""
    from devtools import stack_files

    answers = stack_files.Answers(
        name=name,
        masters=tuple(masters.split()),
        nodes=tuple(nodes.split()),
        known_hosts=known_hosts,
        private_key_file=private_key_file,
        kubernetes=kubernetes,
        profile=profile,
        protect=protect,
    )
    try:
        file = stack_files.write(answers)
    except stack_files.StackFileError as error:
        err.print(str(error), highlight=False, markup=False)
        raise typer.Exit(1) from None
    out.print(f"Wrote {file.name}. Next:", highlight=False)
    for step in stack_files.next_steps(answers):
        out.print(f"  {step}", highlight=False, markup=False)


@app.command()
def down() -> None:
    """Destroy the stack dev, then end the lab."""
    if stack.resources():
        pulumi = stack.Pulumi.of(engines.prepare(out, stack.lab_parts()))
        _lab("up")
        stack.forget_lost_machines(pulumi, out)
        if stack.resources() and (status := stack.destroy(pulumi, out)):
            raise typer.Exit(status)
    _lab("down")


def _healthy(purpose: Purpose) -> None:
    if said := doctor.diagnosis(purpose.value):
        err.print(said, highlight=False, markup=False)
        raise typer.Exit(1)


def _lab(verb: str) -> None:
    if status := stack.run_live([sys.executable, "-m", "lab", verb], os.environ):
        raise typer.Exit(status)


def _said(engine: engines.Engine) -> str:
    origin = "built here" if engine.built else f"yours, {engine.pulumi}"
    plugins = ", ".join(f"{plugin.name} {plugin.version} ({_plugin(plugin, engine)})" for plugin in engines.PLUGINS)
    return f"Pulumi: {origin}. Plugins: {plugins}."


def _plugin(plugin: engines.Plugin, engine: engines.Engine) -> str:
    if plugin.name not in engine.built_plugins:
        return "the real one"
    return "stand-in, built here" if plugin is engines.COMMAND else "built here"


def main() -> None:
    """Runs the command line; what can be put right is one message and exit status 1."""
    # a plain `kill` ends the builds as Ctrl-C does: else their compilers would go on
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(prog_name="python -m devtools")
    except (BuildFailed, ToolMissing, stack.StackBusy, stack.PulumiFailed) as error:
        err.print(str(error), highlight=False, markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("Ended; what was built so far is kept.")
        sys.exit(130)


if __name__ == "__main__":
    main()
