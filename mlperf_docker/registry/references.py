"""Names of images: registry, repository, tag and digest, as docker reads them. Pure.

docker-py takes nearly everything for a name, and keeps the tag in `name:tag@digest` as part of the name.
docker-image-py 0.2 has docker's grammar, but says only that a name is wrong, not what was meant; importing it takes
13 ms, and it brings a second engine for regular expressions.
"""

import re

from mlperf_docker.errors import UsageError

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


# Source: distribution/reference, the grammar in reference.go; a host in capitals is one that not every engine takes.
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(\.{_LABEL})*|\[[0-9a-f:]+\])(:(?P<port>[0-9]+))?")
_COMPONENT = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 200  # of the 255 characters that a name may have; a model's own follows
_HIGHEST_PORT = 65535


def registry_name(text: str) -> str:
    """Return *text*, HOST/PATH or a path alone, under which images are named; "" stays.

    Raises UsageError, which has the right spelling where *text* shows what is meant.
    """
    if not text or _is_registry(text):
        return text
    meant = _spelt_right(text)
    raise UsageError(
        f"{text!r} names no registry: write HOST/PATH in small letters, without scheme, login, tag and empty parts.",
        hint=f"Write {meant}" if meant else "Write for example registry.example:5000/team.",
    )


def image_name(text: str) -> str:
    """Return *text*, the name or id of an image as docker takes it; "" stays. Raises UsageError."""
    named, at, digest = text.partition("@")
    name, _, tag = parted(named)
    fits = _is_registry(name) and (name == named or _TAG.fullmatch(tag)) and (not at or _DIGEST.fullmatch(digest))
    if not text or fits:
        return text
    raise UsageError(
        f"{text!r} is no name of an image: it is NAME, NAME:TAG or NAME@sha256:…, in small letters but for the tag.",
        hint="See what there is with: docker image ls",
    )


def _is_registry(text: str) -> bool:
    head, *rest = text.split("/")
    host = _HOST.fullmatch(head) if has_host(text) else None
    if host is not None and host["port"] and not 0 < int(host["port"][:6]) <= _HIGHEST_PORT:
        return False
    path = rest if has_host(text) else [head, *rest]
    known = host is not None or not has_host(text)
    return known and len(text) <= _LONGEST and all(_COMPONENT.fullmatch(each) for each in path)


def _spelt_right(text: str) -> str:
    """Return what is probably meant by *text*, or "" where that cannot be told."""
    bare = re.sub(r"^\s*([a-z0-9+.-]+:)?/*", "", text.lower()) if "//" in text else text.strip().lower()
    host, _, path = bare.rpartition("@")[2].partition("/")
    parts = [host, *(re.sub(r"[:?#].*", "", each) for each in path.split("/"))]
    meant = "/".join(part for part in parts if part)
    return meant if meant and _is_registry(meant) else ""
