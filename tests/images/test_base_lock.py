"""Digests of bases are written into images.yaml in place: nothing else in it moves."""

import datetime as dt
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.cli.lock import lock
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import EngineError, RegistryError, UsageError
from mlperf_docker.images import base_lock
from mlperf_docker.registry.refusals import refused
from mlperf_docker.registry.remote import Remote
from mlperf_docker.system.paths import assets

TEXT = (assets() / "images.yaml").read_bytes().decode()
BASES = {spec.base.name: spec.base for spec in Catalog.load(assets() / "images.yaml").specs}
DAY, LATER = dt.date(2026, 3, 1), dt.date(2026, 4, 2)
NEW, NEWER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


@pytest.fixture
def images_yaml(tmp_path: Path) -> Path:
    path = tmp_path / "images.yaml"
    path.write_bytes(TEXT.encode())
    return path


def telling(**digests: str) -> base_lock.Describe:
    """A registry that tells the digests of the bases by name, and has none of the others."""

    def describe(reference: str) -> Remote | None:
        name = next(name for name, base in BASES.items() if base.reference == reference)
        return Remote(reference, digests[name], ("linux/amd64",)) if name in digests else None

    return describe


class Refusing:
    """A registry that says the same of everything, and counts how often it is asked."""

    def __init__(self, said: str) -> None:
        self.said, self.asked = said, 0

    def describe(self, reference: str) -> Remote | None:
        self.asked += 1
        raise refused(f"{reference} cannot be looked up", "docker.io", self.said)


def unchanged() -> dict[str, str]:
    return {name: base.digest for name, base in BASES.items()}


def recorded(path: Path) -> dict[str, tuple[str, dt.date | None]]:
    return {spec.base.name: (spec.base.digest, spec.base.recorded) for spec in Catalog.load(path).specs}


def test_a_new_digest_and_its_day_are_the_only_lines_that_change(images_yaml: Path) -> None:
    done = base_lock.refresh(images_yaml, telling(debian=NEW), DAY)
    assert [str(change) for change in done.changes] == [
        f"debian: debian:bookworm-slim was {BASES['debian'].digest}, is {NEW}"
    ]
    assert recorded(images_yaml)["debian"] == (NEW, DAY)
    before, after = TEXT.splitlines(), images_yaml.read_text().splitlines()
    assert [line for line in after if line not in before] == [f"    digest: {NEW}", f"    recorded: {DAY}"]
    assert [line for line in before if line not in after] == [f"    digest: {BASES['debian'].digest}"]
    assert len(after) == len(before) + 1


def test_a_digest_that_the_registry_confirms_gets_its_day_once(images_yaml: Path) -> None:
    first = base_lock.refresh(images_yaml, telling(**unchanged()), DAY)
    assert "is confirmed to be" in str(first.changes[0])
    text = images_yaml.read_bytes()
    assert base_lock.refresh(images_yaml, telling(**unchanged()), LATER).changes == []
    assert images_yaml.read_bytes() == text
    base_lock.refresh(images_yaml, telling(**{**unchanged(), "cuda": NEWER}), LATER)
    assert recorded(images_yaml)["cuda"] == (NEWER, LATER)
    assert recorded(images_yaml)["debian"] == (BASES["debian"].digest, DAY)
    assert images_yaml.read_bytes().count(b"\n") == text.count(b"\n")


@pytest.mark.parametrize("said", ["no such host", "time out", "HTTP 503 Service Unavailable"])
def test_a_registry_that_does_not_answer_is_asked_once_and_said(images_yaml: Path, said: str) -> None:
    registry = Refusing(said)
    done = base_lock.refresh(images_yaml, registry.describe, DAY)
    assert registry.asked == 1
    assert images_yaml.read_bytes() == TEXT.encode()
    told = "; ".join(f"{base.reference}: {said}" for base in BASES.values())
    assert str(done) == f"Digests of bases stay as they are: {told}"
    done.raise_failure(needed=False)
    with pytest.raises(RegistryError) as caught:
        done.raise_failure(needed=True)
    assert caught.value.exit_code is ExitCode.REGISTRY
    assert caught.value.hint == f"Try it by hand: docker pull {next(iter(BASES.values())).reference}"


def test_another_registry_is_asked_though_one_does_not_answer(images_yaml: Path) -> None:
    images_yaml.write_text(TEXT.replace(f"reference: {BASES['cuda'].reference}", "reference: elsewhere.test/cuda:1"))
    registry = Refusing("no such host")
    assert len(base_lock.refresh(images_yaml, registry.describe, DAY).failures) == len(BASES)
    assert registry.asked == 2


@pytest.mark.parametrize("said", ["HTTP 403 Forbidden: denied", "no basic auth credentials", "x509: unknown authority"])
def test_a_permanent_refusal_by_a_registry_is_an_error(images_yaml: Path, said: str) -> None:
    registry = Refusing(said)
    done = base_lock.refresh(images_yaml, registry.describe, DAY)
    assert registry.asked == len(BASES)
    with pytest.raises(RegistryError, match=f"debian:bookworm-slim: {said}"):
        done.raise_failure(needed=False)


def test_a_registry_that_refuses_one_leaves_the_others_written(images_yaml: Path) -> None:
    done = base_lock.refresh(images_yaml, telling(cuda=NEW), DAY)
    assert recorded(images_yaml)["cuda"] == (NEW, DAY)
    assert recorded(images_yaml)["debian"] == (BASES["debian"].digest, None)
    with pytest.raises(RegistryError, match="debian:bookworm-slim: there is no such tag"):
        done.raise_failure(needed=False)


OLD = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("entry", "edited"),
    [
        (
            f"debian:\n    # why\n    digest: {OLD}  # kept\n    suite: x\n",
            f"debian:\n    # why\n    digest: {NEW}  # kept\n    recorded: {DAY}\n    suite: x\n",
        ),
        (
            f'debian:\n    recorded: 2020-01-02\n    digest: "{OLD}"\n',
            f'debian:\n    recorded: {DAY}\n    digest: "{NEW}"\n',
        ),
        (f"debian: {{suite: x, digest: {OLD}}}\n", f"debian: {{suite: x, digest: {NEW}, recorded: {DAY}}}\n"),
        (
            f"debian: {{digest: '{OLD}', recorded: 2020-01-02}}\n",
            f"debian: {{digest: '{NEW}', recorded: {DAY}}}\n",
        ),
        (f"debian:\r\n    digest: {OLD}\r\n", f"debian:\r\n    digest: {NEW}\r\n    recorded: {DAY}\r\n"),
        (f"debian:\n    digest: {OLD}", f"debian:\n    digest: {NEW}\n    recorded: {DAY}\n"),
    ],
    ids=["block", "quoted", "braces", "braces with a day", "other line ends", "no last line end"],
)
def test_any_usual_layout_is_kept(entry: str, edited: str) -> None:
    assert base_lock.with_digest(f"# top\nbases:\n  {entry}", "debian", NEW, DAY) == f"# top\nbases:\n  {edited}"


def test_a_layout_that_cannot_be_edited_is_said_and_not_guessed() -> None:
    with pytest.raises(UsageError, match=r"bases\.debian"):
        base_lock.with_digest(f"bases:\n  debian:\n    digest:\n      {OLD}\n", "debian", NEW, DAY)


def test_without_an_engine_the_locks_are_refreshed_and_one_line_tells_of_the_digests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mlperf_docker.recipe.lock.refresh", lambda _: ("+numpy==9.9",))
    monkeypatch.setattr("mlperf_docker.recipe.reference_lock.refresh", lambda _: ())
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    lock()
    out, err = capsys.readouterr()
    assert out == "+numpy==9.9\n"
    assert err.startswith("Digests of bases stay as they are: ")
    assert err.count("\n") == 1
    lock(requirements=True)
    assert capsys.readouterr().err == ""
    with pytest.raises(EngineError):
        lock(bases=True)
