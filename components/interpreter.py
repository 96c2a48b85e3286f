"""Which Python runs the steps: the program's own, whichever `python3` is first on the PATH of whoever calls pulumi.

What a step runs stands in every stack's state as `python3 -m components.…`. Pulumi may run the program by another Python than that
(PULUMI_PYTHON_CMD, or the option `virtualenv` of Pulumi.yaml), as when the virtual environment is not activated. So what a step runs imports
this before anything that needs a library, and this is plain enough for the Python of any system.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
_AGAIN = "SEALOS_ISTIO_PYTHON"
"""Environment variable: the Python that a step was handed over to; so that it happens once."""

_NO_PYTHON3 = "there is no python3 on PATH, which every step of an update is run by"


_LIBRARIES = ("pydantic_core", "asyncssh", "yaml")
"""What every step imports; the first is pydantic's from 2 on, while systems have packages of 1."""


def fits() -> bool:
    """Whether this Python can run the program."""
    return tuple(sys.version_info) >= OLDEST and all(importlib.util.find_spec(name) for name in _LIBRARIES)


def own(project: Path) -> str | None:
    """The Python that Pulumi runs the project's program by, or that of its virtual environment; None without one."""
    named = os.environ.get("PULUMI_PYTHON_CMD")
    if named and (found := shutil.which(named)):
        return found
    settings = (project / "Pulumi.yaml").read_text(encoding="utf-8")
    option = re.search(r"^\s+virtualenv:\s*[\"']?([^\"'\n]+?)[\"']?\s*$", settings, re.MULTILINE)
    return shutil.which(str(project / (option.group(1) if option else ".venv") / "bin" / "python"))


def hand_over() -> None:
    """Runs the same command by the program's own Python when this one can't."""
    if fits():
        return
    python = own(Path(__file__).parents[1])
    if python is None or _AGAIN in os.environ:
        sys.exit(
            f"{sys.executable} can't run this program: it takes Python {'.'.join(map(str, OLDEST))} or later with what requirements.txt lists. "
            f"Activate the virtual environment that has it, or set PULUMI_PYTHON_CMD to its python"
        )
    os.environ[_AGAIN] = python
    # the module that Python was started with: nothing of it has run yet
    spec = sys.modules["__main__"].__spec__
    module = spec.name if spec else ""
    os.execv(python, [python, "-m", module.removesuffix(".__main__"), *sys.argv[1:]])  # noqa: S606


def check() -> None:
    """Says, before anything is changed, that no step can be run from here; a preview, which runs none, goes on.

    Raises:
        pulumi.RunError: in an update.
    """
    import pulumi

    if found := shutil.which("python3"):
        if pulumi.runtime.is_dry_run() or Path(found).parent == Path(sys.executable).parent:
            return
        command = [found, "-m", "components.interpreter"]  # which hands over as every step does
        done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
        if done.returncode:
            raise pulumi.RunError(f"no step of an update could be run: {done.stderr.strip()}")
        return
    activate = f". Activate the virtual environment: `. {shlex.quote(sys.prefix)}/bin/activate`"
    if not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(_NO_PYTHON3 + activate)
    pulumi.warn(_NO_PYTHON3 + activate)


hand_over()
