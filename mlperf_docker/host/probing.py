"""Probe of a host: all readers on one tree. Takes some milliseconds, and seconds where nvidia-smi has to wake GPUs."""

from mlperf_docker.host import disks, gpus, memory, network, processor, system
from mlperf_docker.host.facts import HostFacts
from mlperf_docker.host.tree import Tree


def probe(files: Tree | None = None, query: gpus.Query = gpus.ask) -> HostFacts:
    """Return the facts that a tree tells, this host's by default. Never raises; what is unknown is None."""
    files = files or Tree()
    return HostFacts(
        processor=processor.read(files),
        memory=memory.read(files),
        system=system.read(files),
        network=network.read(files),
        disks=disks.read(files),
        gpus=gpus.read(files, query),
    )
