"""Paths of the project's assets, and of the user's folders for caches, logs and results (XDG, by platformdirs)."""

import datetime as dt
import os
from pathlib import Path

from mlperf_docker.errors import FolderError, UsageError

PACKAGE = Path(__file__).resolve().parent.parent
DATA_VARIABLE = "MLPERF_DOCKER_DATA"
_TIME = "%Y%m%dT%H%M%S.%f"


def assets() -> Path:
    """The folder with images.yaml, templates/ and locks/: the repository's root, or the copy in an installed wheel."""
    return checkout() or PACKAGE / "assets"


def checkout() -> Path | None:
    """The root of the repository that the tool runs from, or None for an installed wheel."""
    return PACKAGE.parent if (PACKAGE.parent / "images.yaml").is_file() else None


def require_checkout(command: str) -> Path:
    """Return the root of the checkout that *command* writes to. Raises UsageError for an installed wheel."""
    root = checkout()
    if root is None:
        raise UsageError(f"`{command}` is for a checkout of the project; this is an installed mlperf-docker.")
    return root


_USER_PLACES = {
    "XDG_CACHE_HOME": "user_cache_path",
    "XDG_STATE_HOME": "user_state_path",
    "XDG_DATA_HOME": "user_data_path",
}
"""Variable → the folder that it moves, as platformdirs calls it."""


def of_user(text: str) -> Path:
    """Return the absolute path that the user means by *text*: `~` and `~name` are home folders. Raises UsageError."""
    if not text:
        raise UsageError("A path is empty.", hint="Is a variable of the shell not set?")
    try:
        return (Path(text).expanduser() if text.startswith("~") else Path(text)).absolute()
    except FileNotFoundError as error:
        raise UsageError("The working folder does not exist any more.", hint="Go to another one: cd") from error
    except RuntimeError as error:
        name = text.partition("/")[0].removeprefix("~")
        raise UsageError(
            f"{text}: there is no user {name}." if name else f"{text}: no home folder is known."
        ) from error


def resolved(path: Path) -> Path:
    """Return the absolute *path* without links; those that lead in a circle stay."""
    return Path(os.path.realpath(path))


def _user_place(variable: str) -> Path:
    from platformdirs.unix import Unix  # `--help` does without; and XDG's folders are meant on macOS, too

    try:
        return Path(getattr(Unix("mlperf-docker"), _USER_PLACES[variable]))
    except RuntimeError as error:
        raise FolderError(
            f"No home folder is known: HOME is not set, and the system has no user {os.getuid()}.",
            hint=f"Set HOME, or {variable}, to a folder that you can write to.",
        ) from error


def variable_of(path: Path) -> str:
    """Return the variable that moves the user's folder that *path* is in, or "" where it is in none of these."""
    for variable in _USER_PLACES:
        try:
            if path.is_relative_to(_user_place(variable)):
                return variable
        except FolderError:
            continue
    return ""


def made(path: Path) -> Path:
    """Return the folder *path*, made where it is missing. Raises OSError that names all of it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        error.filename = str(path)  # not the part of it that could not be made
        raise
    return path


def cache_place() -> Path:
    """Preprocessed and synthetic data, made on demand; safe to delete. The folder need not exist."""
    return _user_place("XDG_CACHE_HOME")


def cache_dir() -> Path:
    """The same folder, made where it is missing."""
    return made(cache_place())


def models_dir(model: str) -> Path:
    """Where the official files of *model* are looked for; the folder need not exist."""
    return cache_place() / "models" / model


def harness_cache_dir() -> Path:
    """What a container sees as /cache."""
    return made(cache_place() / "harness")


def log_place() -> Path:
    """Full logs of builds and of containers. The folder need not exist."""
    return _user_place("XDG_STATE_HOME") / "logs"


def log_dir() -> Path:
    """The same folder, made where it is missing."""
    return made(log_place())


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


def results_place() -> Path:
    """Results of runs that were not given a folder of their own. The folder need not exist."""
    return _user_place("XDG_DATA_HOME") / "results"


def results_dir() -> Path:
    """The same folder, made where it is missing."""
    return made(results_place())


def profiles_place() -> Path:
    """Profiles of tunings, in one folder for each host. The folder need not exist."""
    return _user_place("XDG_DATA_HOME") / "profiles"


def tunings_place() -> Path:
    """Trials of tunings that were not given a folder of their own. The folder need not exist."""
    return _user_place("XDG_DATA_HOME") / "tunings"


def data_dir(name: str) -> Path:
    """Where the data set *name* is looked for and fetched to without a folder of the user's; it need not exist."""
    root = os.environ.get(DATA_VARIABLE, "")
    base = of_user(root) if root else _user_place("XDG_DATA_HOME") / "data"
    return base / name


def own_evidence() -> Path:
    """The record of what was run with an installed tool; its folder need not exist."""
    return _user_place("XDG_DATA_HOME") / "evidence.json"
