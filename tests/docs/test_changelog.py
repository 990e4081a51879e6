"""CHANGELOG.md, and the notes of a release that are made from it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

IMAGE = {
    "Config": {"Labels": {"org.mlperf-docker.cell": "bert:pytorch-cpu", "org.mlperf-docker.base": "debian"}},
    "RepoDigests": ["registry.example/bert@sha256:1"],
}
CHANGES = (
    "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.0] - 2027-01-02\n\n- this\n\n## [1.2.0rc1]\n\n- before\n"
)

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout with a changelog, and a folder with what an engine says of an image."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/release-notes", tmp_path / ".ci")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/bert.json").write_text(json.dumps(IMAGE))
    return tmp_path


def notes(clone: Path, tag: str) -> subprocess.CompletedProcess[str]:
    argv = [".ci/release-notes", tag, "images"]
    return subprocess.run(argv, cwd=clone, capture_output=True, text=True, check=False, timeout=30)


def test_notes_have_the_images_and_the_versions_own_section(clone: Path) -> None:
    done = notes(clone, "v1.2.0")
    assert done.returncode == 0, done.stderr
    assert "| bert:pytorch-cpu | `registry.example/bert@sha256:1` | `debian` |" in done.stdout
    assert done.stdout.split("## Changes")[1].split() == ["-", "this"]


def test_a_version_without_a_section_makes_no_notes(clone: Path) -> None:
    done = notes(clone, "v9.9.9")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no section [9.9.9]" in done.stderr


def test_sections_are_as_keep_a_changelog_has_them() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\S*\] - \d{4}-\d\d-\d\d", each) for each in versions[1:])
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
