"""Campaigns of tests see no engine and no cache of the user's."""

from pathlib import Path

import pytest

from mlperf_docker.campaigns import inputs


@pytest.fixture(autouse=True)
def apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the user's own; and no image is here."""
    home = tmp_path_factory.mktemp("home")
    for kind in ("CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
    monkeypatch.setattr(inputs, "likely_images", lambda found, _: [("r/cell:x-000000000000", None) for _ in found])
    return home
