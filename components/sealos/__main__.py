"""`python3 -m components.sealos VERB`: one step on the machines; the request is JSON on standard input."""

from __future__ import annotations

import sys

import components.interpreter  # noqa: F401  # before what needs a library
from components.driver import Verb, drive
from components.sealos import artifacts, etcd, requests, teardown
from components.sealos.steps import backup, install, join, kubeconfig, leave, look, preflight, ready

VERBS = {
    "preflight": Verb(
        requests.Preflight, preflight.run_preflight, "look at all machines and report everything that stands in the way"
    ),
    "provide": Verb(requests.Provide, artifacts.run_provide, "put the package or sealos on the first master"),
    "withdraw": Verb(requests.Provide, artifacts.run_withdraw, "take that off again"),
    "install": Verb(requests.Install, install.run_install, "make the first master, or see that it is there"),
    "update": Verb(
        requests.Install, install.run_update, "after a change: see that the cluster is there; never installs"
    ),
    "want": Verb(requests.Want, etcd.run_want, "write down which machines the cluster shall have"),
    "join": Verb(requests.Member, join.run_join, "make one machine (and all others that lack) a Ready node"),
    "leave": Verb(requests.Member, leave.run_leave, "drain one machine, take it out of the cluster and clean it"),
    "look": Verb(requests.Look, look.run_look, "tell which machines' Nodes report no more, and why; changes nothing"),
    "kubeconfig": Verb(
        requests.Kubeconfig, kubeconfig.run_kubeconfig, "print the kubeconfig for use from outside (secret)"
    ),
    "ready": Verb(requests.Ready, ready.run_ready, "wait until all machines are Ready nodes; print them"),
    "backup": Verb(requests.Backup, backup.run_backup, "print the first master's ~/.sealos for a rainy day (secret)"),
    "snapshot": Verb(requests.Snapshot, etcd.run_snapshot, "take a snapshot of etcd and keep it here; print its path"),
    "clean": Verb(requests.Install, teardown.run_clean, "take the whole cluster off all its machines"),
    "sweep": Verb(
        requests.Preflight, teardown.run_sweep, "after that: clean its machines when the first master is gone for good"
    ),
}

if __name__ == "__main__":
    sys.exit(drive("python3 -m components.sealos", VERBS))
