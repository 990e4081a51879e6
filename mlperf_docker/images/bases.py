"""Base images: taken from this engine, pulled, or bootstrapped from the Debian mirror."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlperf_docker.catalog.pinned_base import PinnedBase
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine import transfer
from mlperf_docker.engine.engine import Engine, EngineLostError, EngineRefusedError
from mlperf_docker.engine.local_images import LocalImage
from mlperf_docker.engine.transfer import TransferListener
from mlperf_docker.errors import BaseImageError, MlperfDockerError
from mlperf_docker.images.known_bases import BOOTSTRAP_NAME, GIVEN, Base, bootstrap_tag, bootstrapped
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.registry.references import parted
from mlperf_docker.registry.refusals import RefusedError
from mlperf_docker.system import owner

_BOOTSTRAP_TIMEOUT_S = 900
_STOP_TIMEOUT_S = 30
_FOLDER_PREFIX = "mlperf-docker-base-"
_OWNER_FILE = "owner"
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{6,64}")
_KEPT = "/usr/share/doc/*/copyright"
# What Debian signs its archive with, on a host of any distribution: the host's own keys may be another's.
KEYRING, KEYRING_PACKAGE = Path("/usr/share/keyrings/debian-archive-keyring.gpg"), "debian-archive-keyring"


class OtherDigestError(BaseImageError):
    """An image has the base's name, and not the digest that images.yaml pins. A build takes it only when told to."""

    def __init__(self, base: PinnedBase, found: LocalImage) -> None:
        self.base, self.found = base, found
        known = ", ".join(each.rpartition("@")[2] for each in found.digests) or "no registry's digest"
        super().__init__(
            f"The image {base.reference} on this engine is not the base that images.yaml pins: it has {known},"
            f" and {base.digest} was recorded.",
            hint="Take it nevertheless with --unpinned-base, or record what the registry has today:"
            " mlperf-docker lock --bases",
        )


def resolve_base(
    client: Engine,
    base: PinnedBase,
    *,
    override: str | None = None,
    bootstrap: bool = False,
    say: Callable[[str], None],
) -> Base:
    """Return a base that is on the engine now: local, pulled, or bootstrapped where that is allowed or was done before.

    Raises BaseImageError that tells what was tried and why it failed. Unless it is given, a base is the pinned one or
    made here: never one that only has its tag.
    """
    if override:
        return _given(client, override, say)
    if _is_here(client, base):
        return Base(base.pinned, base.digest, "local")
    found = bootstrapped(client, base)
    refusal = _pull(client, base.pinned, say, patient=found is None and not bootstrap)
    if refusal is None and _is_here(client, base):
        return Base(base.pinned, base.digest, "pulled")
    if found is not None:
        say(f"Base image {base.reference}: not pulled ({refusal}); taking the bootstrapped {found.reference}.")
        return found
    if bootstrap:
        instead = "" if base.is_debian else " in its place"
        say(f"Base image {base.reference}: not pulled ({refusal}); bootstrapping Debian {base.suite}{instead}.")
        return _bootstrap(client, base)
    namesake = images.find(client, base.reference)
    if namesake is not None:
        raise OtherDigestError(base, namesake)
    raise BaseImageError(
        f"The base image {base.pinned} is not on this engine and cannot be pulled: {refusal}",
        hint="Make one from the Debian mirror with --bootstrap-base, or name another one with --base IMAGE.",
    )


def _is_here(client: Engine, base: PinnedBase) -> bool:
    """Tell whether the pinned base is on the engine. Raises OtherDigestError for what has its name alone."""
    found = images.find(client, base.pinned)
    if found is not None and not any(each.endswith(f"@{base.digest}") for each in found.digests):
        raise OtherDigestError(base, found)
    return found is not None


def _given(client: Engine, override: str, say: Callable[[str], None]) -> Base:
    found = images.find(client, override)
    refusal = None
    if found is None:
        refusal = _pull(client, override, say)
        found = images.find(client, override)
    if found is None:
        raise BaseImageError(
            f"The base image {override} is not on this engine and cannot be pulled: {refusal}",
            hint="See what there is with: docker image ls",
        )
    return Base(_named(client, override, found), found.id, GIVEN)


def _named(client: Engine, override: str, found: LocalImage) -> str:
    """Return a name for the image: BuildKit takes an id after FROM for a name on Docker Hub."""
    digits = found.id.removeprefix("sha256:")
    if not (_IMAGE_ID.fullmatch(override) and digits.startswith(override.removeprefix("sha256:"))):
        return override
    name = f"{BOOTSTRAP_NAME}:given-{digits[:12]}"
    client.tag(found.id, name)
    return name


def _pull(client: Engine, reference: str, say: Callable[[str], None], *, patient: bool = True) -> str | None:
    """Pull with docker's own login. Returns None, or why it did not work. patient: whether faults are waited out."""
    say(f"Base image {reference}: pulling.")
    try:
        transfer.pull(client, reference, TransferListener(say=say, waits_s=None if patient else ()))
    except RefusedError as error:
        return error.reason
    except MlperfDockerError as error:
        return str(error)
    return None


def _bootstrap(client: Engine, base: PinnedBase) -> Base:
    """Make a root file system with mmdebstrap and import it."""
    if shutil.which("mmdebstrap") is None:
        raise BaseImageError(
            "A base from the Debian mirror needs mmdebstrap.", hint="Install it: apt-get install mmdebstrap"
        )
    with work_folder() as folder:
        archive = folder / "base.tar"
        debootstrap(base.suite, archive)
        _import(client, archive, bootstrap_tag(base))
    found = bootstrapped(client, base)
    if found is None:
        raise BaseImageError(f"The engine did not import {bootstrap_tag(base)}.", hint="See: mlperf-docker doctor")
    return found


@contextmanager
def work_folder() -> Iterator[Path]:
    """Yield a folder that is gone afterwards; first remove those of tools that were killed."""
    for stale in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        if _is_stale(stale):
            _remove(stale)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
    try:
        folder.chmod(0o755)  # without root, mmdebstrap works in it as another user
        (folder / _OWNER_FILE).write_text(owner.current(), encoding="utf-8")
        yield folder
    finally:
        _remove(folder)


def _is_stale(folder: Path) -> bool:
    try:
        return owner.is_gone((folder / _OWNER_FILE).read_text(encoding="utf-8"))
    except OSError:
        return False


def _remove(folder: Path) -> None:
    """Remove *folder*, but nothing that may be mounted below it: mmdebstrap mounts this host's /sys and /dev/shm."""
    subprocess.run(["rm", "-rf", "--one-file-system", "--", str(folder)], check=False, timeout=_STOP_TIMEOUT_S)


def debootstrap(suite: str, archive: Path) -> None:
    """Write a root file system of Debian's *suite* to *archive* with mmdebstrap. Raises BaseImageError."""
    left_out = [f"path-exclude=/usr/share/{folder}/*" for folder in LAYOUT.debian_without]
    rules = [*left_out, f"path-include={_KEPT}"]
    keys = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    options = ["--variant=minbase", "--include=ca-certificates", *keys, *(f"--dpkgopt={rule}" for rule in rules)]
    environment = {**os.environ, "TMPDIR": str(archive.parent)}
    making = subprocess.Popen(
        [*_apart(), "mmdebstrap", *options, suite, str(archive)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        _, said = making.communicate(timeout=_BOOTSTRAP_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise BaseImageError(f"mmdebstrap did not end within {_BOOTSTRAP_TIMEOUT_S} s.") from error
    finally:
        _stop(making)
    if making.returncode:
        last = "\n".join(said.strip().splitlines()[-8:])
        raise BaseImageError(
            f"mmdebstrap could not make Debian {suite} (exit code {making.returncode}):\n{last}",
            hint=missing_key(said)
            or "It needs root or user namespaces, room in the temporary folder (TMPDIR), and a Debian mirror in reach"
            " (it uses http_proxy).",
        )


def missing_key(said: str) -> str:
    """Return what helps where apt could not check who signed the archive; nothing where that was no problem."""
    if KEYRING.exists() or not re.search(r"NO_PUBKEY|is not signed|keyring", said):
        return ""
    return f"This host does not know Debian's keys: apt-get install {KEYRING_PACKAGE}"


def _apart() -> list[str]:
    """Return the prefix that keeps mmdebstrap's mounts (/proc, /sys, /dev/shm) out of this host's view.

    Should it be killed, they are gone with it, and nobody who cleans up walks into them. Without root it does so
    itself.
    """
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return []
    prefix = ["unshare", "--mount"]
    allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False, timeout=_STOP_TIMEOUT_S)
    return [] if allowed.returncode else prefix


def _stop(making: subprocess.Popen[str]) -> None:
    """End *making* if it still runs. Asked politely, and its apt with it, it unmounts and removes what it made."""
    if making.poll() is not None:
        return
    try:
        os.killpg(making.pid, signal.SIGTERM)
        making.communicate(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(making.pid, signal.SIGKILL)
        making.wait()


def _import(client: Engine, archive: Path, reference: str) -> None:
    """Import *archive* under *reference*. An error comes in the stream of an answer that began well."""
    changes = [
        f"LABEL {LABEL}=base",
        'CMD ["bash"]',
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]
    try:
        said = [*client.import_root(archive, reference, changes)]
    except EngineRefusedError as error:
        raise _import_failed(reference, error.reason) from error
    except EngineLostError as error:
        raise _import_failed(reference, str(error)) from error
    for message in said:
        if "error" in message:
            raise _import_failed(reference, str(message["error"]))
    latest = f"{parted(reference)[0]}:latest"
    imported = images.find(client, latest)
    if imported is not None and any(imported.id in str(each.get("status")) for each in said):
        client.tag(imported.id, reference)  # Podman 4 pays no heed to the tag
        client.remove_image(latest)


def _import_failed(reference: str, reason: str) -> BaseImageError:
    return BaseImageError(
        f"The engine could not import {reference}: {reason}", hint="Is its disk full? See: docker system df"
    )
