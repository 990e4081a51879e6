"""Where things stand: the project's own assets, and the user's cache, logs and results (XDG base directories)."""

import datetime as dt
import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
DATA_VARIABLE = "MLPERF_DOCKER_DATA"
_TIME = "%Y%m%dT%H%M%S.%f"


def assets() -> Path:
    """The folder with images.yaml, templates/ and locks/: the repository's root, or the copy in an installed wheel."""
    return checkout() or _PACKAGE / "assets"


def checkout() -> Path | None:
    """The root of the repository that the tool runs from, or None for an installed wheel."""
    return _PACKAGE.parent if (_PACKAGE.parent / "images.yaml").is_file() else None


def resolved(path: Path) -> Path:
    """Return the absolute *path* without links; those that lead in a circle stay."""
    return Path(os.path.realpath(path))


def _user_place(variable: str, fallback: str) -> Path:
    root = os.environ.get(variable, "")
    base = Path(root) if Path(root).is_absolute() else Path.home() / fallback
    return base / "mlperf-docker"


def _user_dir(variable: str, fallback: str) -> Path:
    path = _user_place(variable, fallback)
    path.mkdir(parents=True, exist_ok=True)
    return path


def cache_dir() -> Path:
    """Preprocessed and synthetic data, made on demand; safe to delete."""
    return _user_dir("XDG_CACHE_HOME", ".cache")


def models_dir(model: str) -> Path:
    """Where the official files of *model* are looked for; the folder need not exist."""
    return cache_dir() / "models" / model


def harness_cache_dir() -> Path:
    """What a container sees as /cache."""
    path = cache_dir() / "harness"
    path.mkdir(parents=True, exist_ok=True)
    return path


def log_dir() -> Path:
    """Full logs of builds and of containers."""
    path = _user_dir("XDG_STATE_HOME", ".local/state") / "logs"
    path.mkdir(parents=True, exist_ok=True)
    return path


def new_log(command: str, about: str) -> Path:
    """A name for the log of one *command*: of that, the time now, and what it is *about*."""
    return log_dir() / f"{command}-{timestamp()}-{about}.log"


def timestamp() -> str:
    """The time now, UTC, to the millisecond, as it stands in the names of logs and of results: they sort by it."""
    return dt.datetime.now(dt.UTC).strftime(_TIME)[:-3]


def time_of(name: str) -> dt.datetime | None:
    """The time, UTC, that the *name* of a log or a result begins with; None where it begins with something else."""
    try:
        return dt.datetime.strptime(name.partition("-")[0], _TIME).replace(tzinfo=dt.UTC)
    except ValueError:
        return None


def results_dir() -> Path:
    """Results of runs that were not given a folder of their own."""
    path = _user_dir("XDG_DATA_HOME", ".local/share") / "results"
    path.mkdir(parents=True, exist_ok=True)
    return path


def data_dir(name: str) -> Path:
    """Where the data set *name* is looked for and fetched to without a folder of the user's; it need not exist."""
    root = os.environ.get(DATA_VARIABLE, "")
    base = Path(root).expanduser().absolute() if root else _user_place("XDG_DATA_HOME", ".local/share") / "data"
    return base / name


def own_evidence() -> Path:
    """The record of what was run with an installed tool; its folder need not exist."""
    return _user_place("XDG_DATA_HOME", ".local/share") / "evidence.json"
