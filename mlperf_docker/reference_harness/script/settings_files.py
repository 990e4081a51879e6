"""LoadGen's settings files, as code that was written before LoadGen 5 reads them."""

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

RULES = "mlperf.conf"
"""File of the rules of a round. LoadGen has had its own copy since version 5."""
OF_THE_RULES = 0
"""conf_type: the copy within LoadGen, whatever the path. Any other is the run's own, of which there may be one."""

FromConfig = Callable[..., int]


def apart(from_config: FromConfig) -> FromConfig:
    """`TestSettings.FromConfig` that takes a file called mlperf.conf for the copy within LoadGen.

    LoadGen counts it as a second user.conf otherwise, and logs that as an error, whatever is in either file.
    """

    def read(settings: Any, path: str, model: str, scenario: str, conf_type: int = 1) -> int:  # noqa: ANN401 (LoadGen's)
        return from_config(settings, path, model, scenario, OF_THE_RULES if PurePath(path).name == RULES else conf_type)

    return read
