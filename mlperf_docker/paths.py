"""Where things stand: the project's own assets, and the user's cache, logs and results (XDG base directories)."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def assets() -> Path:
    """The folder with images.yaml, templates/ and locks/: the repository's root, or the copy in an installed wheel."""
    checkout = _PACKAGE.parent
    return checkout if (checkout / "images.yaml").is_file() else _PACKAGE / "assets"


def _user_dir(variable: str, fallback: str) -> Path:
    root = os.environ.get(variable, "")
    base = Path(root) if Path(root).is_absolute() else Path.home() / fallback
    path = base / "mlperf-docker"
    path.mkdir(parents=True, exist_ok=True)
    return path


def cache_dir() -> Path:
    """Preprocessed and synthetic data, made on demand; safe to delete."""
    return _user_dir("XDG_CACHE_HOME", ".cache")


def models_dir(model: str) -> Path:
    """Where the official files of *model* are looked for."""
    path = cache_dir() / "models" / model
    path.mkdir(parents=True, exist_ok=True)
    return path


def harness_cache_dir() -> Path:
    """What a container sees as /cache."""
    path = cache_dir() / "harness"
    path.mkdir(parents=True, exist_ok=True)
    return path


def log_dir() -> Path:
    """Full logs of builds."""
    path = _user_dir("XDG_STATE_HOME", ".local/state") / "logs"
    path.mkdir(parents=True, exist_ok=True)
    return path


def results_dir() -> Path:
    """Results of runs that were not given a folder of their own."""
    path = _user_dir("XDG_DATA_HOME", ".local/share") / "results"
    path.mkdir(parents=True, exist_ok=True)
    return path
