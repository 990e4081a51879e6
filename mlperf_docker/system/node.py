"""Name of this node among those that share a file system."""

import os
import re
import socket


def name() -> str:
    """Return what the cluster calls this node, else the host's name, as a part of a file's name.

    Several Slurm nodes may be one host.
    """
    return re.sub(r"[^\w.-]", "-", os.environ.get("SLURMD_NODENAME") or socket.gethostname())
