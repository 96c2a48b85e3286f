"""Images: what the mesh and its operator run, from a file into the container runtime of every node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_command import local

from components.config.hosts import Machine
from components.config.mesh import IstioSettings
from components.istio.mesh_plan import MeshPlan
from components.istio.objects import secret_json
from components.istio.renderer import Absent
from components.remote.fleet import Reach

LOAD_IMAGES = "python3 -m components.istio load-images"


@dataclass(frozen=True)
class ImagesArgs:
    """What is loaded, and where.

    Attributes:
        plan: the mesh, with a file of images.
        machines: all of the stack's.
        reach: how to reach one of them; secret.
        timeout: seconds for one of them.
        cluster_ready: what must be there before a machine has a container runtime.
    """

    plan: MeshPlan
    machines: Sequence[Machine]
    reach: Reach
    timeout: int
    cluster_ready: pulumi.Resource


class Images(pulumi.ComponentResource):
    """One step a machine, so that a new one is loaded without the others.

    Attributes:
        loaded: the steps; whatever runs one of the images depends on them.
    """

    loaded: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:istio:Images", name, None, opts)
        istio = args.plan.istio
        if (images := istio.images) is None:
            raise ValueError("no file of images is asked for")
        if lacking := _lacking(args.plan, Path(images.file)):
            pulumi.warn(
                f"sealos-istio:istio.images: {images.file} does not hold {', '.join(lacking)}; a node that lacks one pulls it",
                resource=self,
            )
        self.loaded = [
            local.Command(
                f"{name}-{machine.name}",
                create=LOAD_IMAGES,
                stdin=secret_json(
                    {
                        "fleet": args.reach([machine]),
                        "file": images.file,
                        "sha256": images.sha256,
                        # the others by the file itself: what the mesh runs is known where istioctl is, and must not differ elsewhere
                        "images": [_operator(istio)],
                        "timeout": args.timeout,
                        "of": "mesh",
                    }
                ),
                add_previous_output_in_env=False,
                logging=local.Logging.STDERR,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[args.cluster_ready]),
            )
            for machine in args.machines
        ]
        self.register_outputs({"file": images.file})


def _operator(istio: IstioSettings) -> str:
    return f"{istio.hub}/operator:{istio.image_tag}"


def needed(plan: MeshPlan) -> list[str]:
    """The images that the operator, the mesh and its sidecars run, as far as they are known here."""
    istio = plan.istio
    found = {_operator(istio), f"{istio.hub}/proxyv2:{istio.image_tag}"}
    for known in () if isinstance(plan.rendered, Absent) else plan.rendered.objects:
        template = known.get("spec", {}).get("template", {})
        pod = template.get("spec", {}) if isinstance(template, Mapping) else {}
        for container in (*pod.get("containers", ()), *pod.get("initContainers", ())):
            found.add(str(container["image"]))
    return sorted(found)


def _lacking(plan: MeshPlan, file: Path) -> list[str]:
    """What the file lacks; nothing where it is not here, or is no such file, which the step itself tells."""
    # loads the SSH library, which takes long and which a preview does without unless there is such a file
    from components.images import held, reference

    try:
        there = held(file)
    except (OSError, ValueError):
        return []
    return [image for image in needed(plan) if reference(image) not in there]
