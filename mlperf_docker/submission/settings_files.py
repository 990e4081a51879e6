"""Files of settings in a tree that no run writes: the mlperf.conf that rounds to v4.1 ask for beside user.conf."""

from pathlib import Path

from mlperf_docker.contract import detail_log

_EFFECTIVE = "effective_"


def mlperf_conf(run: Path) -> str:
    """Return the settings that LoadGen had in effect in *run*, in the form of a mlperf.conf.

    LoadGen of today has its mlperf.conf built in, so no run has the file; what was in effect, its detail log has.
    """
    values = detail_log.read(run).values
    scenario = values.get("effective_scenario", "*")
    effective = {key.removeprefix(_EFFECTIVE): value for key, value in values.items() if key.startswith(_EFFECTIVE)}
    lines = (f"*.{scenario}.{key} = {_word(value)}\n" for key, value in effective.items())
    return f"# What LoadGen had in effect in this run, after its own mlperf.conf and user.conf.\n{''.join(lines)}"


def _word(value: object) -> object:
    return int(value) if isinstance(value, bool) else value
