"""What the preflight may find, and what the stack's settings make of it. Pure and light: the settings check the codes that a user writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from components.problem import Code, Problem, told

CODES: Mapping[str, Code] = {code.value: code for code in Code if code.area in ("machines", "host-keys")}
"""Every code that a finding of the preflight may have."""


def settle(
    findings: Iterable[Problem], *, warnings_as_errors: bool | Collection[str], waive: Mapping[str, str]
) -> list[Problem]:
    """The findings as the stack wants them taken.

    Args:
        findings: as judged.
        warnings_as_errors: whether warnings are errors: all, or those of the codes.
        waive: reason by code.
    """

    def one(finding: Problem) -> Problem:
        if finding.code in waive and finding.code.waivable:
            return replace(finding, waived=waive[finding.code])
        strict = warnings_as_errors if isinstance(warnings_as_errors, bool) else finding.code in warnings_as_errors
        return replace(finding, severity="error") if strict else finding

    return [one(finding) for finding in findings]


def stop(findings: Iterable[Problem]) -> bool:
    """Whether one of the findings stops the update."""
    return any(finding.severity == "error" and finding.waived is None for finding in findings)


def report(findings: Sequence[Problem], machines: int) -> str:
    """The findings for a person, below how many there are of each kind; what several machines share counts once."""
    if not findings:
        return f"{machines} machines are as they must be"
    kinds = ["waived" if f.waived else f.severity for f in {replace(f, where=""): f for f in findings}.values()]
    said = [f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) != 1)}" for kind in ("error", "warning")]
    said += [f"{kinds.count('waived')} waived"] * ("waived" in kinds)
    head = f"preflight of {machines} machines: {', '.join(said)}" + "; nothing was changed" * ("error" in kinds)
    return "\n".join([head, *told(findings, machines)])
