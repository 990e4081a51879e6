"""Cases of the benchmark, in the order of LoadGen's sample indices."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mlperf_docker.harness.api.errors import DatasetError, first_ten
from mlperf_docker.harness.system import data_files

OFFICIAL = tuple(
    f"case_{number:05}"
    for number in (
        *(0, 3, 5, 6, 12, 24, 34, 41, 44, 49, 52, 56, 61, 65, 66, 70, 76, 78, 80, 84, 86, 87, 92, 111, 112, 125, 128),
        *(138, 157, 160, 161, 162, 169, 171, 176, 185, 187, 189, 198, 203, 206, 207, 400),
    )
)
"""Source: mlcommons/inference, vision/medical_imaging/3d-unet-kits19/meta/inference_cases.json."""
COPIES = {"case_00400": "case_00185"}
"""Cases that KiTS19 does not have: the benchmark counts another one twice."""
LIST = "inference_cases.json"
"""Names the cases of another set, in the same form as upstream's list; without it they are the official ones."""

_HINT = 'It is like ["case_00000", "case_00003"]; without it, the cases are the official ones.'
_NAME = re.compile(r"case_\d{5}")


def listed(root: Path) -> tuple[str, ...]:
    """The cases of the data set at *root*. Raises DatasetError for a list that is none."""
    path = root / LIST
    try:
        names = data_files.read_json(path, most=data_files.MIB, hint=_HINT)
    except data_files.MissingFile:
        return OFFICIAL
    if not isinstance(names, list) or not names:
        raise DatasetError(f"{path} is no list of cases", hint=_HINT)
    problems = [data_files.shown(name) for name in names if not (isinstance(name, str) and _NAME.fullmatch(name))]
    known = Counter(name for name in names if isinstance(name, str))
    problems += [f"{data_files.shown(name)} is there twice" for name, count in known.items() if count > 1]
    if problems:
        hint = "A case is called case_ and five digits."
        raise DatasetError(f"{path} names cases that cannot be", hint=hint, details=first_ten(problems))
    return tuple(names)


def source(folder: Path, case: str) -> Path:
    """The folder that holds *case*'s files: its own, or of the case that it is a copy of."""
    own = folder / case
    return folder / COPIES[case] if case in COPIES and not own.exists() else own


def strange(folder: Path) -> Sequence[str]:
    """Names of folders that seem to be meant as cases and are not called so."""
    return sorted(path.name for path in folder.iterdir() if "case" in path.name and not _NAME.fullmatch(path.name))
