"""What the mesh's commands run: `python3 -m components.istio VERB`, with a request as JSON on standard input."""

from __future__ import annotations

import sys

import components.interpreter  # noqa: F401  # before what needs a library
from components.driver import Verb, drive
from components.images import ImagesRequest, load_images
from components.istio import recover
from components.istio.cni_probe import CniRequest, cni_check
from components.istio.istioctl_driver import IstioctlRequest, install, remove
from components.istio.passphrase import PassphraseRequest, passphrase
from components.istio.readiness.change_detection import LookRequest, found_changed_at
from components.istio.readiness.probe import GateRequest, gate
from components.istio.sweep import SweepRequest, sweep

VERBS = {
    "passphrase": Verb(PassphraseRequest, passphrase, "make a passphrase that nobody guesses"),
    "load-images": Verb(ImagesRequest, load_images, "load the mesh's images from a file on a node, where missing"),
    "gate": Verb(GateRequest, gate, "wait until the mesh is what was asked for, or say why it isn't"),
    "look": Verb(LookRequest, found_changed_at, "whether something changed the mesh since the gate was passed"),
    "sweep": Verb(SweepRequest, sweep, "take away what a mesh left, once its IstioOperator is gone"),
    "cni-check": Verb(CniRequest, cni_check, "wait until istio-cni ends the CNI chain of the nodes"),
    "istioctl": Verb(IstioctlRequest, install, "put istioctl and its completion on the first master"),
    "istioctl-remove": Verb(IstioctlRequest, remove, "take istioctl and its completion away from the first master"),
}

ALSO = "`render --help`, which reads no request: the objects that Istio will make of a stack's settings."

if __name__ == "__main__":
    if sys.argv[1:2] == ["recover"]:  # for people, not for Pulumi: it reads a stack's state
        sys.exit(recover.main(sys.argv[2:]))
    if sys.argv[1:2] == ["render"]:
        from components.istio.render_command import main  # it needs the settings, which the drivers don't

        sys.exit(main(sys.argv[2:]))
    sys.exit(drive("python3 -m components.istio", VERBS, epilog=ALSO))
