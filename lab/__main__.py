"""``python -m lab``: the embedded lab's command line (docs/lab.md)."""

import os
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lab import faults, fidelity
from lab.machines import Lab, LabError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Linux machines on this one, for trying the program: sealos01 (master) to sealos04, or more.",
    epilog="Environment: LAB_DIR (state directory, default .lab), LAB_NETWORK (default 198.51.100.0/24), LAB_MACHINES (how many, default 4), LAB_KUBERNETES (v1.16.3, v1.19.16 or v1.20.15, default v1.16.3), LAB_SEALOS (path of a real sealos).",
)
out = Console()
err = Console(stderr=True)

# Programs worth a mention in `lab status`; the rest is sshd, shells and what a person started.
NOTABLE = (
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "sealos", "kubeadm", "dockerd", "containerd", "kube-proxy",
    "coredns", "operator", "pilot-discovery", "pilot-agent", "contour",
)  # fmt: skip


@app.callback()
def root_only(context: typer.Context) -> None:
    """Everything of the lab is root's; `up` says by itself what else is missing."""
    if os.geteuid() != 0 and context.invoked_subcommand != "up":
        raise LabError("the lab is root's. Fix: run it as root")


@app.command()
def up() -> None:
    """Start the lab; when it is up already, nothing is done."""
    lab, began = Lab(), time.monotonic()
    with err.status("starting the lab") as line:
        started = lab.up(line.update)
    if not started:
        out.print(f"The lab is up already: {len(lab.names)} machines on {lab.network}. Nothing to do.")
        return
    out.print(f"The lab is up: {len(lab.names)} machines on {lab.network} ({time.monotonic() - began:.1f} s).")
    for host in lab.hosts:
        out.print(f"  {host.name}  {host.address}  {host.role}", highlight=False)
    out.print(
        f"Log in: python -m lab ssh {lab.names[0]}    Login data: {_shown(lab)}/inventory.yaml, id_ed25519, password, known_hosts",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def down() -> None:
    """Power all machines off; disks and keys stay for the next `up`."""
    stopped = Lab().down()
    out.print("The lab is down; nothing of it runs or is mounted." if stopped else "The lab is not up. Nothing to do.")


@app.command()
def status() -> None:
    """Show the machines, what runs on them, and what is real and what is not."""
    lab = Lab()
    now = lab.status()
    table = Table("machine", "address", "power", "SSH", "runs", box=None, pad_edge=False)
    for host in now.hosts:
        runs = ", ".join(name for name in NOTABLE if name in host.programs)
        table.add_row(
            host.name,
            host.address,
            "on" if host.on else "off",
            ("answers" if host.ssh else "silent") if host.on else "",
            runs,
        )
    out.print(
        f"The lab is up on {now.network}, interface {now.interface}."
        if now.up
        else "The lab is down. Start it: python -m lab up"
    )
    out.print(table)
    sealos_real = now.sealos == "real"
    for title, rows in (
        ("Real", (*fidelity.REAL, *([fidelity.GIVEN_SEALOS] if sealos_real else []))),
        ("Stand-ins", (*fidelity.STAND_INS, *([] if sealos_real else [fidelity.SEALOS]))),
    ):
        listing = Table(title, "", box=None, pad_edge=False)
        for row in rows:
            listing.add_row(*row)
        out.print()
        out.print(listing)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ssh(context: typer.Context, host: Annotated[str, typer.Argument(help="sealos01 to sealos04")]) -> None:
    """Log in to a machine as root, or run a command there: python -m lab ssh sealos01 -- kubectl get nodes."""
    command = context.args[1:] if context.args[:1] == ["--"] else context.args
    if len(command) == 1:
        command = ["bash", "-c", command[0]]  # as with ssh itself, one argument is a line for the shell
    call = Lab().ssh_command(host, *command)
    os.execvp(call[0], call)  # noqa: S606 - ssh takes this process's place, so its terminal and exit status are ssh's


@app.command()
def logs(
    host: Annotated[str | None, typer.Argument(help="a machine; without it, the lab itself")] = None, lines: int = 40
) -> None:
    """Show the last lines of the lab's log, or of a machine's console and journal."""
    lab = Lab()
    file = lab.log_file(host)
    if file.exists():
        out.rule(file.name, align="left")
        for text in file.read_text(errors="replace").splitlines()[-lines:]:
            out.print(text, markup=False, highlight=False, soft_wrap=True)
    if host is not None:
        out.rule("journal", align="left")
        out.print(lab.journal(host, f"--lines={lines}"), markup=False, highlight=False, soft_wrap=True, end="")


@app.command()
def reset(hosts: Annotated[list[str] | None, typer.Argument(help="machines; without any, all")] = None) -> None:
    """Make machines bare again: fresh disks, the same keys and password. What was on them is gone."""
    lab = Lab()
    names = tuple(hosts or lab.names)
    with err.status(f"resetting {', '.join(names)}"):
        lab.reset(names)
    out.print(f"Bare again: {', '.join(names)}.")


@app.command()
def fault(
    name: Annotated[str | None, typer.Argument(help="a fault; without one, they are listed")] = None,
    host: Annotated[str | None, typer.Argument(help="sealos01 to sealos04")] = None,
    value: Annotated[str, typer.Option(help="in place of the fault's own")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="take it away again")] = False,
) -> None:
    """Put a fault on a machine, or take it away: python -m lab fault slow sealos03 --value 256."""
    if name is None:
        table = Table("fault", "value", "what it does", box=None, pad_edge=False)
        for known in faults.FAULTS:
            table.add_row(known.name, known.value, known.text)
        out.print(table)
        return
    lab = Lab()
    machine = host or lab.names[0]
    faults.put(lab, machine, name, value, undo=undo)
    out.print(f"{machine}: {name} {'taken away' if undo else 'put there'}.")


def _shown(lab: Lab) -> str:
    """The state directory, short when it is below the current one."""
    try:
        return str(lab.directory.relative_to(os.getcwd()))  # noqa: PTH109
    except ValueError:
        return str(lab.directory)


def main() -> None:
    """Run the command line; a LabError is one message and exit status 1."""
    try:
        app(prog_name="python -m lab")
    except LabError as error:
        err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
