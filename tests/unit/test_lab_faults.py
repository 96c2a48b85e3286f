"""The lab's faults as a list; each is put on a machine in tests/lab/test_containers.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import faults
from lab.machines import Lab, LabError
from tests.project import ROOT


def test_each_has_a_name_of_its_own_and_is_in_the_document() -> None:
    names = [fault.name for fault in faults.FAULTS]
    assert len(set(names)) == len(names)
    document = (ROOT / "docs/lab.md").read_text()
    for fault in faults.FAULTS:
        assert f"| {fault.name} | {fault.value} | {fault.text} |" in document


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: str(fault.name))
def test_it_is_bash_to_be_put_and_to_be_taken_away(fault: faults.Fault) -> None:
    for text in (fault.put, fault.undo):
        done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert ("$1" in fault.put) == bool(fault.value)


def test_a_wrong_name_or_machine_is_told(tmp_path: Path) -> None:
    lab = Lab(tmp_path, "198.18.99.0/24")
    with pytest.raises(LabError, match=r"no fault 'nonsense'\. The faults are: mute, refusing"):
        faults.put(lab, "sealos01", "nonsense")
    with pytest.raises(LabError, match="webhook is put on sealos01 alone"):
        faults.put(lab, "sealos02", "webhook")
    with pytest.raises(LabError, match="sealos02 is off"):
        faults.put(lab, "sealos02", "kubelet")
