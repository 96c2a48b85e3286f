"""The cluster that sealos v3 installs: drivers that work on the machines, and the component that wires them.

`python3 -m components.sealos --help` lists the drivers' verbs; `components.sealos.cluster` has the component. Nothing is
imported here, because the drivers must start fast and without Pulumi.
"""
