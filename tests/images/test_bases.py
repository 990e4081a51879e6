"""Base images: sources, their order, and the error where none can be had."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog.spec import BaseImage
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.engine import Engine, EngineRefusedError, Message
from mlperf_docker.errors import BaseImageError
from mlperf_docker.images import bases, known_bases
from mlperf_docker.images.building.builder import BuildRequest
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.images.known_bases import Base
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile
from mlperf_docker.recipe.host_settings import HostSettings
from tests.fakes.engine import EmptyEngine
from tests.fakes.registry import digest, image, serving, store
from tests.fixtures.docker_client import api

PINNED = BaseImage(
    name="debian", reference="debian:bookworm-slim", digest=f"sha256:{'1' * 64}", suite="bookworm", python="3.11"
)
PULLED_ID = f"sha256:{'2' * 64}"
BOOTSTRAPPED_ID = f"sha256:{'3' * 64}"


class FakeEngine(EmptyEngine):
    """Images by reference; pulls those of *remote*; takes tags."""

    def __init__(self, local: dict[str, str], remote: dict[str, str] | None = None) -> None:
        self.local, self.remote = local, remote or {}
        self.labels: list[dict[str, str]] = []
        self.digests: dict[str, list[str]] = {}
        self.calls: list[tuple[str, ...]] = []

    def find_image(self, reference: str) -> dict[str, Any] | None:
        found = self.local.get(reference)
        digests = self.digests.get(reference, [reference] if "@" in reference else [])
        about: dict[str, Any] = {
            "Id": found,
            "RepoTags": [],
            "RepoDigests": digests,
            "Os": "linux",
            "Architecture": "amd64",
            "Config": {"Labels": {}},
            "Size": 1,
        }
        return about if found else None

    def images(self, label: str) -> list[Message]:
        return [{"Labels": labels} for labels in self.labels]

    def pull_image(self, name: str, tag: str) -> Generator[Message]:
        self.calls.append(("pull", name, tag))
        if not self.remote:
            raise EngineRefusedError("no such host")
        known = {key: value for key, value in self.remote.items() if key.startswith(name) and key.endswith(tag)}
        self.local |= known
        yield {"status": "done"} if known else {"error": "manifest unknown"}

    def tag(self, image: str, reference: str) -> None:
        self.local[reference] = image


def resolve(fake: FakeEngine, **options: Any) -> tuple[Base, list[str]]:
    said: list[str] = []
    return bases.resolve_base(fake, PINNED, say=said.append, **options), said


def test_a_local_base_is_taken_without_a_word() -> None:
    fake = FakeEngine({PINNED.pinned: PULLED_ID})
    assert resolve(fake, bootstrap=True) == (Base(PINNED.pinned, PINNED.digest, "local"), [])
    assert fake.calls == []


def test_a_missing_base_is_pulled_by_its_digest() -> None:
    fake = FakeEngine({known_bases.bootstrap_tag(PINNED): BOOTSTRAPPED_ID}, {PINNED.pinned: PULLED_ID})
    found, said = resolve(fake)
    assert found == Base(PINNED.pinned, PINNED.digest, "pulled")
    assert fake.calls == [("pull", "debian", PINNED.digest)]
    assert said == [f"Base image {PINNED.pinned}: pulling."]


def test_a_bootstrapped_base_stands_in_and_the_reason_is_said() -> None:
    found, said = resolve(FakeEngine({"mlperf-docker/base:bookworm": BOOTSTRAPPED_ID}))
    assert found == Base("mlperf-docker/base:bookworm", BOOTSTRAPPED_ID, "bootstrapped")
    assert "no such host" in said[-1]
    assert "mlperf-docker/base:bookworm" in said[-1]


CUDA = PINNED.model_copy(update={"name": "cuda", "reference": "nvidia/cuda:13.0.3-base-ubuntu24.04", "python": "3.12"})


@pytest.mark.parametrize(("base", "words"), [(PINNED, ""), (CUDA, " in its place")])
def test_a_base_of_another_distribution_is_bootstrapped_as_debian_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, base: BaseImage, words: str
) -> None:
    fake, said, made = FakeEngine({}), list[str](), list[str]()

    def bootstrap(_client: Engine, asked: BaseImage) -> Base:
        made.append(known_bases.bootstrap_tag(asked))
        return Base(made[-1], BOOTSTRAPPED_ID, "bootstrapped")

    monkeypatch.setattr(bases, "_bootstrap", bootstrap)
    assert bases.resolve_base(fake, base, bootstrap=True, say=said.append).origin == "bootstrapped"
    assert made == ["mlperf-docker/base:bookworm"]
    assert said[-1].endswith(f"bootstrapping Debian bookworm{words}.")


def test_a_bootstrapped_base_stands_in_for_one_of_another_distribution() -> None:
    fake = FakeEngine({"mlperf-docker/base:bookworm": BOOTSTRAPPED_ID})
    assert bases.resolve_base(fake, CUDA, say=lambda _: None).reference == "mlperf-docker/base:bookworm"
    assert known_bases.local_bases(fake, CUDA)[1].identity == BOOTSTRAPPED_ID


@pytest.mark.parametrize(
    ("said", "helps"),
    [
        (
            "W: GPG error: http://deb.debian.org bookworm InRelease: NO_PUBKEY 0E98404D386FA1D9",
            "debian-archive-keyring",
        ),
        ("E: The repository 'http://deb.debian.org bookworm InRelease' is not signed.", "debian-archive-keyring"),
        ("E: Could not connect to deb.debian.org:80", ""),
    ],
)
def test_a_host_without_debians_keys_is_told_which_package_has_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, helps: str
) -> None:
    monkeypatch.setattr(bases, "KEYRING", tmp_path / "keys.gpg")
    assert helps in bases.missing_key(said)
    assert bool(bases.missing_key(said)) is bool(helps)
    (tmp_path / "keys.gpg").touch()
    assert bases.missing_key(said) == ""


def test_no_base_is_an_error_that_names_the_ways_out() -> None:
    with pytest.raises(BaseImageError) as caught:
        resolve(FakeEngine({}))
    assert caught.value.exit_code == 4
    assert PINNED.pinned in str(caught.value)
    assert "no such host" in str(caught.value)
    assert "--bootstrap-base" in (caught.value.hint or "")


def test_a_base_that_the_registry_lacks_is_an_error() -> None:
    with pytest.raises(BaseImageError, match="manifest unknown"):
        resolve(FakeEngine({}, {"other:1": PULLED_ID}))


@pytest.mark.parametrize(
    ("override", "asked"),
    [
        ("mine", ("mine", "latest")),
        ("host:5000/mine", ("host:5000/mine", "latest")),
        ("host:5000/mine:2", ("host:5000/mine", "2")),
        (f"mine:2@{PINNED.digest}", ("mine", PINNED.digest)),
    ],
)
def test_a_given_base_is_pulled_as_docker_reads_its_name(override: str, asked: tuple[str, str]) -> None:
    fake = FakeEngine({})
    with pytest.raises(BaseImageError, match="no such host"):
        resolve(fake, override=override, bootstrap=True)
    assert fake.calls == [("pull", *asked)], "one tag: without one the engine would pull them all"


@pytest.mark.parametrize("override", [PULLED_ID, PULLED_ID[7:19]])
def test_a_base_given_by_id_gets_a_name(override: str) -> None:
    fake = FakeEngine({override: PULLED_ID})
    found, _ = resolve(fake, override=override)
    assert found == Base(f"mlperf-docker/base:given-{'2' * 12}", PULLED_ID, "given")
    assert fake.local[found.reference] == PULLED_ID


def test_a_base_given_by_name_keeps_it() -> None:
    found, _ = resolve(FakeEngine({"abcdef123": PULLED_ID}), override="abcdef123")
    assert found == Base("abcdef123", PULLED_ID, "given")


OTHER = f"debian@sha256:{'4' * 64}"


@pytest.mark.parametrize("digests", [[OTHER], []])
def test_a_base_that_has_only_the_tag_is_refused_and_both_digests_named(digests: list[str]) -> None:
    fake = FakeEngine({PINNED.reference: PULLED_ID})
    fake.digests = {PINNED.reference: digests}
    with pytest.raises(BaseImageError) as caught:
        resolve(fake)
    assert caught.value.exit_code == 4
    assert PINNED.digest in str(caught.value)
    assert ("4" * 64 if digests else "no registry's digest") in str(caught.value)
    assert "--unpinned-base" in (caught.value.hint or "")


def test_a_pulled_base_with_another_digest_is_refused() -> None:
    fake = FakeEngine({}, {PINNED.pinned: PULLED_ID})
    fake.digests = {PINNED.pinned: [OTHER]}
    with pytest.raises(BaseImageError, match="4" * 64):
        resolve(fake, bootstrap=True)


def test_the_pinned_base_is_pulled_though_another_has_its_tag() -> None:
    fake = FakeEngine({PINNED.reference: BOOTSTRAPPED_ID}, {PINNED.pinned: PULLED_ID})
    assert resolve(fake)[0] == Base(PINNED.pinned, PINNED.digest, "pulled")


def test_a_base_that_is_given_may_have_any_digest() -> None:
    fake = FakeEngine({PINNED.reference: PULLED_ID})
    fake.digests = {PINNED.reference: [OTHER]}
    assert resolve(fake, override=PINNED.reference)[0] == Base(PINNED.reference, PULLED_ID, "given")


def test_local_bases_need_no_network() -> None:
    fake = FakeEngine({"mlperf-docker/base:bookworm": BOOTSTRAPPED_ID})
    assert known_bases.local_bases(fake, PINNED) == [
        Base(PINNED.pinned, PINNED.digest, "local"),
        Base("mlperf-docker/base:bookworm", BOOTSTRAPPED_ID, "bootstrapped"),
    ]
    assert known_bases.local_bases(FakeEngine({}), PINNED)[0].identity == PINNED.digest
    assert fake.calls == []


def test_bases_on_record_are_those_of_the_cell() -> None:
    def built_on(cell: str, *facts: str) -> dict[str, str]:
        keys = ("cell", "base", "base.identity", "base.origin")
        return {f"{LABEL}.{key}": value for key, value in zip(keys, (cell, *facts), strict=True)}

    fake = FakeEngine({})
    fake.labels = [
        built_on("bert:x", "mlperf-docker/base:bookworm", BOOTSTRAPPED_ID, "bootstrapped"),
        built_on("bert:x", "own:1", PULLED_ID, "given"),
        built_on("bert:y", "mlperf-docker/base:bookworm", f"sha256:{'4' * 64}", "bootstrapped"),
        {LABEL: "image"},
    ]
    carried = Base("mlperf-docker/base:bookworm", BOOTSTRAPPED_ID, "bootstrapped")
    assert known_bases.recorded_bases(fake, "bert:x") == [carried]
    assert known_bases.recorded_bases(fake, "bert:x", "own:1") == [Base("own:1", PULLED_ID, "given")]
    assert known_bases.recorded_bases(fake, "bert:x", "own:2") == []
    fake.local["own:1"] = BOOTSTRAPPED_ID
    assert known_bases.recorded_bases(fake, "bert:x", "own:1") == [], "the base itself is here, and is another one"


def test_bootstrapping_without_mmdebstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BaseImageError, match="needs mmdebstrap") as caught:
        resolve(FakeEngine({}), bootstrap=True)
    assert "apt-get install mmdebstrap" in (caught.value.hint or "")


def test_the_work_folder_is_always_gone_and_takes_a_killed_tools_along(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "import os, tempfile\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "from mlperf_docker.images import bases as base\n"
        "with base.work_folder() as folder:\n"
        "    (folder / 'chroot').mkdir()\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "mlperf-docker-base-a-neighbours").mkdir()
    with pytest.raises(KeyboardInterrupt), bases.work_folder():
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["mlperf-docker-base-a-neighbours"]


@contextmanager
def offering(content: bytes) -> Iterator[BaseImage]:
    """Yield a base that a registry on this host has, and no Debian mirror."""
    blobs = image("amd64", content)
    manifest = next(iter(blobs.values()))
    with serving() as registry:
        registry.answer = store(blobs, manifest)
        reference = f"{registry.host}/mlperf-test-{uuid.uuid4().hex[:8]}:1"
        yield PINNED.model_copy(update={"reference": reference, "digest": digest(manifest), "suite": "no-such-suite"})


@pytest.fixture
def offered() -> Iterator[BaseImage]:
    with offering(b"from the registry\n") as base:
        yield base


def _request(base: str, tag: str) -> BuildRequest:
    inputs = BuildInputs("ARG BASE\nFROM ${BASE}\nCOPY note /note\n", (ContextFile("note", b"ours\n"),))
    return BuildRequest(inputs, base, (tag,), {LABEL: "image"}, HostSettings())


@pytest.mark.engine
def test_a_real_pull_and_then_no_network_again(
    engine: DockerEngine, offered: BaseImage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    base, tag = offered, f"mlperf-test-{uuid.uuid4().hex[:8]}:1"
    names = [tag]
    try:
        assert bases.resolve_base(engine, base, say=lambda _: None).origin == "pulled"
        names.append(base.pinned)
        unreachable = base.model_copy(update={"suite": "still-no-suite"})
        found = bases.resolve_base(engine, unreachable, say=pytest.fail)
        assert found == Base(base.pinned, base.digest, "local")
        built = builder_of(engine).build(_request(found.reference, tag), on_event=lambda _: None)
        local = images.find(engine, base.pinned)
        assert local is not None
        by_id = bases.resolve_base(engine, base, override=local.id, say=pytest.fail)
        names.append(by_id.reference)
        assert builder_of(engine).build(_request(by_id.reference, tag), on_event=lambda _: None) == built
    finally:
        for name in names:
            api(engine).remove_image(name, force=True)
    assert images.find(engine, base.pinned) is None


@pytest.mark.engine
def test_a_registry_that_gives_another_image_for_the_digest_is_refused(
    engine: DockerEngine, offered: BaseImage
) -> None:
    pinned = offered.model_copy(update={"digest": f"sha256:{'9' * 64}"})
    with pytest.raises(BaseImageError, match="cannot be pulled"):
        bases.resolve_base(engine, pinned, say=lambda _: None)
    assert engine.find_image(pinned.pinned) is None


@pytest.mark.engine
def test_an_image_with_only_the_bases_tag_is_refused_by_its_digest(engine: DockerEngine) -> None:
    with offering(b"moved on\n") as offered:
        api(engine).pull(offered.reference)
    pinned = offered.model_copy(update={"digest": f"sha256:{'9' * 64}"})
    try:
        with pytest.raises(BaseImageError) as caught:
            bases.resolve_base(engine, pinned, say=lambda _: None)
        assert offered.digest in str(caught.value)
        assert pinned.digest in str(caught.value)
        told = bases.resolve_base(engine, pinned, override=pinned.reference, say=pytest.fail)
        assert (told.reference, told.origin) == (offered.reference, "given")
    finally:
        api(engine).remove_image(offered.reference, force=True)


@pytest.mark.engine
def test_a_bootstrap_that_fails_says_why_and_leaves_nothing(
    engine: DockerEngine, base_image: Base, offered: BaseImage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    base = offered.model_copy(update={"digest": f"sha256:{'0' * 64}"})
    with pytest.raises(BaseImageError, match="mmdebstrap could not make Debian no-such-suite") as caught:
        bases.resolve_base(engine, base, bootstrap=True, say=lambda _: None)
    assert "no-such-suite" in str(caught.value).partition("\n")[2], "mmdebstrap's own words"
    assert list(tmp_path.iterdir()) == []
    assert images.find(engine, known_bases.bootstrap_tag(base)) is None


@pytest.mark.engine
def test_a_bootstrap_that_is_interrupted_leaves_nothing(base_image: Base, tmp_path: Path) -> None:
    script = (
        "import tempfile; from pathlib import Path; from mlperf_docker.images import bases as base\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "with base.work_folder() as folder: base.debootstrap('bookworm', folder / 'base.tar')\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("*/mmdebstrap.*/var/lib/dpkg")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGINT)
    assert running.returncode == -signal.SIGINT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.engine
def test_the_bootstrapped_base_is_marked_as_ours(engine: DockerEngine, base_image: Base) -> None:
    if base_image.origin != "bootstrapped":
        pytest.skip(f"this base is {base_image.origin}")
    found = images.find(engine, base_image.reference)
    assert found is not None
    assert (found.id, found.labels[LABEL]) == (base_image.identity, "base")
