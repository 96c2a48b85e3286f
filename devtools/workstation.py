"""istioctl on the workstation, by the same script that puts it on the first master."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from components.istio.istioctl_driver import INSTALL
from components.istio.releases.table import release

VERSION = "1.5.0"
"""What the part `istio` builds (toolchain/istio/modules/1.5)."""


def install_istioctl(binary: Path, environment: Mapping[str, str]) -> int:
    """Installs it in PREFIX (default ~/.local) with completion in the user's rc files; run again, it changes nothing.

    Args:
        binary: the istioctl that was built.
        environment: with HOME, and PREFIX when another place is wanted.

    Returns:
        The script's exit status; it says on standard error what it did or why it did not.
    """
    home = environment["HOME"]
    with tempfile.TemporaryDirectory() as folder:
        request = {"path": str(binary), "version": VERSION, "sha256": "", "completion": release(VERSION).completion}
        for name, text in request.items():
            Path(folder, name).write_text(text)
        variables = {**environment, "PREFIX": environment.get("PREFIX") or f"{home}/.local", "RC_HOME": home}
        return subprocess.run(["bash", str(INSTALL), folder], env=variables, check=False).returncode
