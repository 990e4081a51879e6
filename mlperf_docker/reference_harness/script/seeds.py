"""Seeds of a round in the process of a script: LoadGen has those of one round built in, and takes none from a file."""

import json
from collections.abc import Mapping


def sow(order: str) -> None:
    """Give LoadGen's settings the seeds that *order* is, a JSON object by the fields' names, with each file's."""
    seeds = json.loads(order or "{}")
    if seeds:
        _wrap(seeds)


def _wrap(seeds: Mapping[str, int]) -> None:
    import mlperf_loadgen as lg

    read = lg.TestSettings.FromConfig

    def reading(settings: lg.TestSettings, *arguments: object) -> int:
        code: int = read(settings, *arguments)
        for name, seed in seeds.items():
            setattr(settings, name, seed)
        return code

    lg.TestSettings.FromConfig = reading
