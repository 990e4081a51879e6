"""What the name of an image is made of: registry, repository, tag and digest, as docker reads it. Pure."""

HUB = "docker.io"
"""Docker Hub, the registry of names without one."""


def parted(reference: str) -> tuple[str, str, str]:
    """Return name, digest and tag of *reference*. Without a tag it means `latest`; the engine would take every tag."""
    named, _, digest = reference.partition("@")
    name, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:  # no colon, or one that belongs to the registry's port
        return named, digest, "latest"
    return name, digest, tag


def host_of(name: str) -> str:
    """Return the registry that *name* begins with; without one it is Docker Hub, as docker reads it."""
    host, slash, _ = name.partition("/")
    return host if slash and has_host(name) else HUB


def has_host(name: str) -> bool:
    """Whether *name* begins with a registry's host. A bare name would be a stranger's namespace on Docker Hub."""
    host = name.partition("/")[0]
    return "." in host or ":" in host or host == "localhost"


def familiar(reference: str) -> str:
    """Return *reference* as Docker writes it; Podman names the host of Docker Hub, which is that of names without."""
    return reference.removeprefix(f"{HUB}/").removeprefix("library/")
