"""Where a base image comes from: this engine, a registry, or the Debian mirror."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlperf_docker.digests import LABEL
from mlperf_docker.engine import image as images
from mlperf_docker.engine.image import Images
from mlperf_docker.errors import BaseImageError
from mlperf_docker.spec import BaseImage

if TYPE_CHECKING:
    from mlperf_docker.engine.client import Engine

_BOOTSTRAP_NAME = "mlperf-docker/base"
_BOOTSTRAP_TIMEOUT_S = 900
# What Debian's own slim images leave out too: https://github.com/debuerreotype/debuerreotype
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/lintian/*")
_KEPT = ("/usr/share/doc/*/copyright",)


@dataclass(frozen=True)
class Base:
    """A base image on this engine, or one that could be pulled.

    reference: what `FROM` takes; identity: `sha256:…`, the registry's digest where it has one, else the image's id;
    origin: local, pulled, bootstrapped or given.
    """

    reference: str
    identity: str
    origin: str


def local_bases(client: Images, base: BaseImage, override: str = "") -> list[Base]:
    """Return the bases that an image may stand on, the preferred first, without asking any network.

    The pinned base needs not be here for that: its digest is known. A bootstrapped one counts once it is here.
    """
    if override:
        given = images.find(client, override)
        return [Base(override, given.id if given else override, "given")]
    found = _bootstrapped(client, base)
    return [Base(base.pinned, base.digest, "local"), *([found] if found else [])]


def resolve_base(
    client: "Engine",
    base: BaseImage,
    *,
    override: str = "",
    bootstrap: bool = False,
    say: Callable[[str], None],
) -> Base:
    """Return a base that is on the engine now: local, pulled, or bootstrapped where that is allowed or was done before.

    Raises BaseImageError that tells what was tried and why it failed.
    """
    if override:
        return _given(client, override, say)
    if images.find(client, base.pinned) is not None:
        return Base(base.pinned, base.digest, "local")
    refusal = _pull(client, base.pinned, say)
    if refusal is None:
        return Base(base.pinned, base.digest, "pulled")
    found = _bootstrapped(client, base)
    if found is not None:
        say(f"Base image {base.reference}: not pulled ({refusal}); taking the bootstrapped {found.reference}.")
        return found
    if bootstrap:
        say(f"Base image {base.reference}: not pulled ({refusal}); bootstrapping Debian {base.suite}.")
        return _bootstrap(client, base)
    raise BaseImageError(
        f"The base image {base.pinned} is not on this engine and cannot be pulled: {refusal}",
        hint="Make one from the Debian mirror with --bootstrap-base, or name another one with --base IMAGE.",
    )


def bootstrap_tag(base: BaseImage) -> str:
    """Return the name that a bootstrapped base goes by, which no registry has."""
    return f"{_BOOTSTRAP_NAME}:{base.suite}"


def _given(client: "Engine", override: str, say: Callable[[str], None]) -> Base:
    refusal = None if images.find(client, override) else _pull(client, override, say)
    found = images.find(client, override)
    if found is None:
        raise BaseImageError(
            f"The base image {override} is not on this engine and cannot be pulled: {refusal}",
            hint="See what there is with: docker image ls",
        )
    return Base(override, found.id, "given")


def _pull(client: "Engine", reference: str, say: Callable[[str], None]) -> str | None:
    """Pull with docker's own login. Returns None, or why it did not work."""
    from docker.errors import APIError

    from mlperf_docker.engine.client import explanation

    say(f"Base image {reference}: pulling.")
    name, _, digest = reference.partition("@")
    try:
        for message in client.pull(name, tag=digest or None, stream=True, decode=True):
            if "error" in message:
                return str(message["error"])
    except APIError as error:
        return explanation(error)
    return None


def _bootstrapped(client: Images, base: BaseImage) -> Base | None:
    found = images.find(client, bootstrap_tag(base))
    return Base(bootstrap_tag(base), found.id, "bootstrapped") if found else None


def _bootstrap(client: "Engine", base: BaseImage) -> Base:
    """Make a root file system with mmdebstrap and import it."""
    if shutil.which("mmdebstrap") is None:
        raise BaseImageError("--bootstrap-base needs mmdebstrap.", hint="Install it: apt-get install mmdebstrap")
    with tempfile.TemporaryDirectory(prefix="mlperf-docker-base-") as folder:
        archive = Path(folder) / "base.tar"
        _debootstrap(base.suite, archive)
        name, _, tag = bootstrap_tag(base).partition(":")
        changes = [
            f"LABEL {LABEL}=base",
            'CMD ["bash"]',
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        client.import_image_from_file(str(archive), repository=name, tag=tag, changes=changes)
    found = _bootstrapped(client, base)
    if found is None:
        raise BaseImageError(f"The engine did not import {bootstrap_tag(base)}.", hint="See: mlperf-docker doctor")
    return found


def _debootstrap(suite: str, archive: Path) -> None:
    rules = [f"path-exclude={path}" for path in _LEFT_OUT] + [f"path-include={path}" for path in _KEPT]
    argv = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", *(f"--dpkgopt={rule}" for rule in rules)]
    try:
        done = subprocess.run(
            [*argv, suite, str(archive)], capture_output=True, text=True, timeout=_BOOTSTRAP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BaseImageError(f"mmdebstrap did not end within {_BOOTSTRAP_TIMEOUT_S} s.") from error
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise BaseImageError(
            f"mmdebstrap could not make Debian {suite} (exit code {done.returncode}):\n{last}",
            hint="It needs root or user namespaces, and a Debian mirror in /etc/apt/sources.list.",
        )
