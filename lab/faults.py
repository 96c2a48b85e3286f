"""Faults to put on the lab's machines. What is played is said at each; `Lab.reset` takes everything away again."""

from __future__ import annotations

from lab.machines import Lab

_CLOCK = """#!/bin/sh
# The lab's stand-in for a clock that is off by {seconds} s: the kernel's clock is the host's own and can't be moved for one machine.
now=$(/usr/bin/date +%s.%N | awk '{{ printf "%.6f", $1 + {seconds} }}')
exec /usr/bin/date -d "@$now" "$@"
"""


def move_clock(lab: Lab, name: str, seconds: float) -> None:
    """Lets a machine's clock be wrong, for everyone who asks `date`; 0 sets it right.

    Played: a `date` in the machine's /usr/local/bin, which comes before the real one on its PATH.

    Args:
        lab: the lab; it is up.
        name: the machine.
        seconds: how far it is ahead; negative for behind.
    """
    text = _CLOCK.format(seconds=seconds)
    here = "rm -f /usr/local/bin/date" if not seconds else "cat >/usr/local/bin/date && chmod 0755 /usr/local/bin/date"
    lab.run(name, "sh", "-c", here, stdin=text).check_returncode()


def listen(lab: Lab, name: str, port: int) -> None:
    """Takes a TCP port of a machine by a program that says nothing, until its next power-off."""
    program = f"import socket, time; s = socket.create_server(('', {port})); time.sleep(10 ** 6)"
    line = f'setsid python3 -c "{program}" </dev/null >/dev/null 2>&1 & sleep 0.5; ss -Hltn sport = :{port} | grep -q .'
    lab.run(name, "bash", "-c", line).check_returncode()


def deaf(lab: Lab, name: str) -> None:
    """Freezes a machine's SSH server (SIGSTOP): the kernel still takes connections, and nobody ever says a word.

    `lab.stop_machine` and `start_machine` end it; logging in can't.
    """
    lab.run(
        name, "bash", "-c", "(sleep 0.3; kill -STOP $(pgrep -o -x sshd)) </dev/null >/dev/null 2>&1 &"
    ).check_returncode()
