"""`mlperf-docker system`: facts of this host, and the description of a system for a submission."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlperf_docker.cli.options import JsonOutput, user_path
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json

if TYPE_CHECKING:
    from mlperf_docker.host.facts import HostFacts


def init(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Name of systems/<name>.json. Default: after the processors.")
    ] = "",
    *,
    to: Annotated[
        Path | None, typer.Option("--to", parser=user_path, metavar="FILE", help="The file. Default: NAME.yaml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write the description of this host as a system: what could be read is filled in, you complete the rest."""
    from mlperf_docker.systems import suggestion, writing

    host = _host()
    name = name or suggestion.folder_name(host)
    path = to or Path(f"{name}.yaml").absolute()
    writing.write(path, name, suggestion.suggested(host), force=force)
    streams.out(str(path))


def show(*, as_json: JsonOutput = False) -> None:
    """Show what can be read of the host that runs the containers; every result has it as `host`."""
    from mlperf_docker.contract import json_values
    from mlperf_docker.display.tables import fact_lines, folded
    from mlperf_docker.results.host_text import host_lines

    host = _host()
    if as_json:
        streams.out(strict_json.dumps(json_values.fields(host)))
        return
    streams.out(folded(fact_lines(host_lines(host), 13), streams.columns(), 13))


def check(
    file: Annotated[Path, typer.Argument(parser=user_path, metavar="FILE", help="A file of `system init`.")],
    *,
    round_: Annotated[
        str,
        typer.Option("--round", metavar="ROUND", help="Such as v6.1; `rounds list` shows all. Default: the newest."),
    ] = "",
    as_json: JsonOutput = False,
) -> None:
    """Hold a description to what a round asks for, and to this host. Exits 2 if the round would refuse it."""
    from mlperf_docker.errors import UsageError
    from mlperf_docker.rounds.loading import load
    from mlperf_docker.systems import checking, description

    rounds = load()
    asked = rounds.find(round_) if round_ else rounds.newest
    found = checking.check(description.load(file), asked, _host())
    if as_json:
        fields = {"round": asked.name, "problems": found.problems, "warnings": found.warnings}
        streams.out(strict_json.dumps(fields))
    else:
        for warning in found.warnings:
            streams.err(f"Warning: {warning}.")
    if found.problems:
        raise UsageError("\n  ".join((f"{file} is not complete for round {asked.name}:", *found.problems)))
    if not as_json:
        streams.out(f"{file} has all that round {asked.name} asks of a system.")


def _host() -> "HostFacts":
    """Return the facts of the engine's host; those of this one where no engine answers."""
    from mlperf_docker.engine.client import connect
    from mlperf_docker.errors import EngineError
    from mlperf_docker.host.probing import probe
    from mlperf_docker.systems.runs_on import container_host

    try:
        return container_host(connect()).facts
    except EngineError:
        return probe()
