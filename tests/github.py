"""A stand-in of GitHub: as much of its API as one comment on a pull request needs, and its runner's `run:` steps in order."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from tests.documented import Terminal
from tests.project import ROOT


class Api(http.server.BaseHTTPRequestHandler):
    """Comments, kept to what GitHub's reference says about them.

    Attributes:
        comments: those that there are.
        asked: the methods of what was written.
        token: the one that may write.
    """

    comments: list[dict[str, Any]]
    asked: list[str]
    token: str

    def answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        page = int(self.path.rpartition("=")[2])
        self.answer(200, self.comments[(page - 1) * 100 : page * 100])

    def _write(self, comment: dict[str, Any]) -> None:
        self.asked.append(self.command)
        comment["body"] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        self.answer(200, comment)

    def do_POST(self) -> None:
        if self.headers["Authorization"] != f"Bearer {self.token}":
            self.answer(403, {})
            return
        self.comments.append({"id": len(self.comments), "html_url": f"https://github.example/{len(self.comments)}"})
        self._write(self.comments[-1])

    def do_PATCH(self) -> None:
        self._write(self.comments[int(self.path.rpartition("/")[2])])

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def api(token: str = "good") -> Iterator[tuple[str, type[Api]]]:
    """A server with 120 comments of others, so that there is more than one page; its address and what it has seen."""
    comments = [{"id": n, "body": "other"} for n in range(120)]
    handler = type("Handler", (Api,), {"comments": comments, "asked": [], "token": token})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


def filled(text: str, context: Mapping[str, Any]) -> str:
    """A workflow's text with its expressions filled in: names with dots, `||` and texts in quotes; an unknown name is empty."""

    def value(expression: str) -> str:
        for word in expression.split(" || "):
            if word.startswith("'"):
                return word.strip("'")
            found: Any = context
            for name in word.split("."):
                found = found.get(name, "") if isinstance(found, Mapping) else ""
            if found:
                return str(found)
        return ""

    return _EXPRESSION.sub(lambda match: value(match[1]), text)


@dataclass(frozen=True)
class Job:
    """A job of a workflow of .github/workflows, with its steps that run something themselves (no `uses:`)."""

    environment: Mapping[str, str]
    steps: tuple[Mapping[str, Any], ...]
    context: Mapping[str, Any]

    @classmethod
    def of(cls, workflow: str, name: str, context: Mapping[str, Any]) -> Job:
        """The job of that workflow in that context (github, secrets, vars, inputs, matrix)."""
        job = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text())["jobs"][name]
        return cls(job.get("env", {}), tuple(step for step in job["steps"] if "run" in step), context)

    def run(self, terminal: Terminal, status: int = 0) -> str:
        """Runs the steps in order, each in a bash as a runner has it (-e), with the variables that it sets.

        Args:
            terminal: in a clone; its variables are the runner's.
            status: how the last step ends; those before it end with 0.

        Returns:
            What they printed.
        """
        printed = ""
        for number, step in enumerate(self.steps, 1):
            given = {**self.environment, **step.get("env", {})}
            ours = {name: filled(text, self.context) for name, text in given.items()}
            shell = Terminal(terminal.directory, {**terminal.environment, **ours})
            script = f"set -e\n{filled(step['run'], self.context)}"
            printed += shell.run(script, status=status if number == len(self.steps) else 0).stdout
        return printed
