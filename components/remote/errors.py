"""Why a machine could not be dialled, in the words of whoever has to mend it."""

from __future__ import annotations

import asyncssh

from components.printable import harmless
from components.remote.models import Login, MachineError


def in_words(name: str, where: str, user: str, login: Login, error: Exception, heard: bool) -> MachineError:
    """What to raise for a log-in that failed.

    Args:
        name: whom it concerns.
        where: address and port that were dialled.
        user: who was to log in.
        login: how.
        error: what came of it.
        heard: whether the host took the TCP connection.
    """
    limit = login.connect_timeout
    match error:
        case TimeoutError() if heard:
            return MachineError(
                name,
                f"{where} took the connection but stayed mute for {limit:g} s",
                "Look at the machine's SSH server (overloaded, or something else listens there).",
                "mute",
            )
        case TimeoutError():
            return MachineError(
                name,
                f"{where} did not answer within {limit:g} s",
                "Is it on, and does a firewall drop the port?",
                "unreachable",
            )
        case asyncssh.PermissionDenied():
            given = [
                what
                for what, there in (
                    ("the password", login.password and login.password.get_secret_value()),
                    ("the private key", login.private_key or login.private_key_file),
                    ("the agent's keys", login.agent),
                )
                if there
            ]
            return MachineError(
                name,
                f"{where} refused {' and '.join(given) or 'a log-in without any credentials'} of {user}",
                "Set password or privateKey to what the machine takes, and look at PermitRootLogin in its sshd_config.",
                "auth",
            )
        case asyncssh.HostKeyNotVerifiable():
            return _changed(name, where)
        case asyncssh.KeyExchangeFailed() if "host key" in str(error).lower():
            return _changed(name, where)
        case asyncssh.ConnectionLost() | ConnectionResetError() | BrokenPipeError():
            return MachineError(
                name,
                f"{where} closed the connection before log-in",
                "Is that an SSH server? One that is too busy also does this (MaxStartups in sshd_config).",
                "unreachable",
            )
        case ConnectionRefusedError():
            return MachineError(
                name, f"{where} refused the connection", "Is its SSH server running, and on that port?", "unreachable"
            )
        case asyncssh.ChannelOpenError():
            return MachineError(
                name,
                f"the bastion can't reach {where} ({reason(error)})",
                "Is the machine on and its port open?",
                "unreachable",
            )
        case OSError():
            return MachineError(
                name, f"{where} can't be reached ({reason(error)})", "Look at address, route and cable.", "unreachable"
            )
        case _:
            return MachineError(
                name,
                f"{where} doesn't speak SSH as expected ({reason(error)})",
                "Look at what listens there.",
                "unreachable",
            )


def _changed(name: str, where: str) -> MachineError:
    return MachineError(
        name,
        f"{where} shows another host key than the pinned one",
        "Either the machine was installed anew (then update hostKey after comparing it on the console), or someone sits between.",
        "host-key",
    )


def reason(error: Exception) -> str:
    """An error's own reason, as short as it comes."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # the other side's own words, perhaps
    return harmless(str(error)).strip()[:500] or type(error).__name__
