"""What etcd.py and teardown.py use of the steps, until each names the step itself."""

from components.sealos.steps.ask import known_of, look, nodes_of, settled, wanted_of
from components.sealos.steps.clean import sweep
from components.sealos.steps.install import install_files, wipe
from components.sealos.steps.script import files, work
from components.sealos.steps.want import want

__all__ = ["files", "install_files", "known_of", "look", "nodes_of", "settled", "sweep", "want", "wanted_of", "wipe", "work"]
