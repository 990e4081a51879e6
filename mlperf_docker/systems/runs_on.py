"""Host that the containers run on: this one by its own files, another one by what its engine tells."""

from dataclasses import dataclass, replace

from mlperf_docker.engine import facts as engine_facts
from mlperf_docker.engine.address import engine_host, is_local
from mlperf_docker.engine.engine import Engine
from mlperf_docker.engine.facts import EngineFacts, EngineHost
from mlperf_docker.errors import EngineError
from mlperf_docker.host.facts import ContainerEngine, HostFacts, HostSystem, Memory, Processor
from mlperf_docker.host.probing import probe
from mlperf_docker.host.tree import Tree


@dataclass(frozen=True)
class ContainerHost:
    """Host of the containers."""

    facts: HostFacts
    is_here: bool
    """Whether it is this host, whose files tell more than an engine does."""


def container_host(client: Engine) -> ContainerHost:
    """Return the host that *client* runs containers on. Where the engine went away, it is taken to be this one."""
    try:
        engine = engine_facts.facts(client)
    except EngineError:
        return ContainerHost(probe(), is_here=True)
    here = is_here(engine.host)
    return ContainerHost(of_engine(engine, here=here), here)


def is_here(host: EngineHost, files: Tree | None = None) -> bool:
    """Tell whether an engine's host is this one: reached by a socket, and no virtual machine with its own kernel."""
    kernel = (files or Tree()).text("/proc/sys/kernel/osrelease")
    return is_local(engine_host()) and host.kernel in (None, kernel)


def of_engine(engine: EngineFacts, *, here: bool) -> HostFacts:
    """Return the facts of an engine's host. here: whether this host's files tell of it."""
    about = ContainerEngine(engine.name, engine.version, engine.runtimes, engine.host.threads)
    return replace(probe() if here else _told(engine.host), engine=about)


def _told(host: EngineHost) -> HostFacts:
    return HostFacts(
        processor=Processor(architecture=host.architecture, threads=host.threads),
        memory=Memory(size_bytes=host.memory_bytes),
        system=HostSystem(kernel=host.kernel, distribution=host.distribution),
    )
