"""Options of `mlperf-docker run`, from the command line through the container's to the harness's own."""

import argparse
import csv
import dataclasses
import os
import shlex
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer

from mlperf_docker.cli.app import app
from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import Command, RunCommand
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.model_options import of_values
from mlperf_docker.contract.options import COUNT, Option, RunOptions, declared, refusals, values
from mlperf_docker.contract.words import Precision, Scenario, SyntheticLabels, SyntheticSize
from mlperf_docker.harness.__main__ import COMMANDS
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.commands import arguments
from mlperf_docker.harness.commands.options import LoadgenRun, run_of
from mlperf_docker.harness.loadgen import user_conf

PROGRAM = Path(sys.executable).with_name("mlperf-docker")
CELL = ("bert", "--backend=onnxruntime")
"""A cell with two precisions."""

SHARED = [each for each in declared(RunOptions) if not each.only_harness]

FILES = {"dataset": "data", "model-file": "model-file", "user-conf": "user-conf"}
"""Options of `run` with paths → the harness's own, with paths in the container."""

HOST_ONLY = {
    *("backend", "device", "profile", "require-dataset", "round", "results", "dry-run", "json", "help"),
    *("cpus", "cpuset", "memory", "gpus"),
    *("pull", "base", "bootstrap-base", "registry", "bundle", "runtime", "harness", "reference", "model-code"),
}
"""Options of `run` that the harness is told nothing of: they choose the image, the container and the output."""

RUNS = {"performance-run", "accuracy-run"}
"""Options of both: the name of a run on the host, its folder in the container."""

HARNESS_ONLY = {*("help", "cell", "model", "backend", "device"), *("models", "cache", "results")}
"""Options of the harness's `run` that are in cell.json, or are mount points."""


def given(option: Option, place: int) -> Any:
    """A value of *option* that is not its default; no two numbers are alike."""
    if issubclass(option.kind, StrEnum):
        return next(word for word in reversed(list(option.kind)) if word != option.default)
    if option.kind is bool:
        return not option.default
    number = 10.25 + place
    return int(number) if option.kind is int else number


GIVEN = {each.name: given(each, place) for place, each in enumerate(SHARED)}


def words_of(options: dict[str, Any]) -> list[str]:
    return [word for each in SHARED if each.name in options for word in each.words(options[each.name])]


def command_line(place: Path, *typed: str) -> list[str]:
    """The docker command that `run` would be equal to, where there is no engine."""
    homes = {f"XDG_{kind}_HOME": str(place / kind.lower()) for kind in ("CACHE", "DATA", "STATE")}
    environment = {**os.environ, **homes, "DOCKER_HOST": f"unix://{place}/no-engine.sock"}
    line = [str(PROGRAM), "run", *CELL, *typed, "--dry-run"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout)


def container_arguments(command: list[str]) -> list[str]:
    return command[command.index("run", command.index("run") + 1) :]


def parsed(line: list[str]) -> RunCommand:
    """What the harness makes of a command line."""
    found = arguments.parser(COMMANDS).parse_args(line)
    return RunCommand(**values(RunCommand, found))


def harness_run(line: list[str]) -> LoadgenRun:
    return run_of(parsed(line), Cell("bert", "onnxruntime", Device.CPU, "bert"))


@pytest.mark.parametrize("left_out", ["samples", "synthetic_samples"])  # they exclude each other
def test_every_value_arrives(tmp_path: Path, left_out: str) -> None:
    wanted = {**GIVEN, "scenario": Scenario.SERVER}  # the one that takes all of them
    del wanted["compliance"]  # which is for performance runs, and needs others; see tests/runs/test_references.py
    del wanted[left_out]
    made = harness_run(container_arguments(command_line(tmp_path, *words_of(wanted))))
    arrived = {name: getattr(made, name) for name in wanted}
    assert arrived == wanted
    assert {name: type(value) for name, value in arrived.items()} == {name: type(wanted[name]) for name in wanted}
    assert made.precision is Precision.INT8


def test_an_option_that_is_not_given_has_the_harness_default(tmp_path: Path) -> None:
    command = command_line(tmp_path, "--synthetic=tiny")
    assert harness_run(container_arguments(command)) == harness_run(["run", "--synthetic=tiny"])


def test_files_arrive_by_their_places_in_the_container(tmp_path: Path) -> None:
    files = {option: tmp_path / option for option in FILES}
    files["dataset"].mkdir()
    (files["dataset"] / "dev-v1.1.json").write_text("{}")
    files["model-file"].write_bytes(b"weights")
    files["user-conf"].write_text("*.Offline.target_qps = 5\n")
    command = command_line(tmp_path, *(f"--{option}={path}" for option, path in files.items()))
    made = parsed(container_arguments(command))
    mounts = dict(_mounts(command))
    for option, name in FILES.items():
        inside = getattr(made, name.replace("-", "_"))
        host = next(mounts[place] / inside.relative_to(place) for place in mounts if inside.is_relative_to(place))
        assert host == files[option]
    assert made.cache in mounts
    assert made.results in mounts
    line = [text.replace(str(made.user_conf), str(files["user-conf"])) for text in container_arguments(command)]
    assert harness_run(line).user_conf == user_conf.read(files["user-conf"])


def _mounts(command: list[str]) -> list[tuple[Path, Path]]:
    rows = csv.reader(word.removeprefix("--mount=") for word in command if word.startswith("--mount="))
    fields = [dict(field.partition("=")[::2] for field in row) for row in rows]
    return [(Path(each["dst"]), Path(each["src"])) for each in fields]


def test_no_option_is_on_one_side_alone() -> None:
    shared = {each.flag.removeprefix("--") for each in SHARED}
    own = {each.flag.removeprefix("--") for each in declared(RunOptions)}
    assert _host_options() == shared | FILES.keys() | HOST_ONLY | RUNS
    assert _harness_options(RunCommand) == own | {*FILES.values()} | HARNESS_ONLY | RUNS


def test_both_have_the_same_help() -> None:
    run = _commands()["run"]
    for each in SHARED:
        (action,) = (action for action in run._actions if each.flag in action.option_strings)
        assert action.help == each.help


@pytest.mark.parametrize("option", [each for each in SHARED if each.bounds], ids=lambda each: each.name)
def test_numbers_have_the_same_bounds_on_both_sides(option: Option) -> None:
    for number in (0, 0.0001, 0.001, 1, 2**31 - 1, 2**31, 1e9, 1.1e9, 1e12, 1.1e12, -1):
        if option.kind is int and number != int(number):
            continue
        made = dataclasses.replace(RunOptions(), **{option.name: option.kind(number)})
        refused = bool(list(refusals(made)))
        assert refused is not _harness_takes(f"{option.flag}={option.kind(number)}"), number


def _harness_takes(word: str) -> bool:
    try:
        parsed(["run", word])
    except SystemExit:
        return False
    return True


def _host_options() -> set[str]:
    command = typer.main.get_command(app)
    context = typer.Context(command)
    run = command.get_command(context, "run")  # type: ignore[attr-defined]
    shown = [each for each in run.get_params(context) if each not in run.of_models]
    names = [name for each in shown for name in (*each.opts, *each.secondary_opts)]
    return {name.removeprefix("--") for name in names if name.startswith("--")}


def _commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (each for each in arguments.parser(COMMANDS)._actions if isinstance(each, argparse._SubParsersAction))
    return dict(found.choices)


def _harness_options(command: type[Command[Any]]) -> set[str]:
    names = [name for each in _commands()[command.name]._actions for name in each.option_strings]
    return {name.removeprefix("--") for name in names if name.startswith("--")}


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.name)
def test_a_command_is_what_it_was_after_its_way_over_the_command_line(kind: type[Command[Any]]) -> None:
    options: dict[str, Any] = {each.name: _some(each) for each in declared(kind)}
    made = kind(**options)
    found = arguments.parser(COMMANDS).parse_args([*made.argv()])
    assert found.command is kind
    assert kind(**values(kind, found)) == made


def _some(option: Option) -> Any:
    if option.positional:
        return (Path("a"), Path("b"))
    return Path(f"/mnt/{option.name}") if option.kind is Path else given(option, 1)


def test_options_become_the_words_of_a_command_line() -> None:
    made = RunCommand(
        scenario=Scenario.SERVER,
        synthetic=SyntheticSize.TINY,
        samples=10,
        min_duration_s=2.5,
        target_latency_ms=30,
        model_options=of_values({"rows": 1000, "kind": "half"}),
        data=Path("/mnt/own"),
    )
    assert made.argv() == (
        "run",
        "--precision=fp32",
        "--scenario=Server",
        "--mode=performance",
        "--synthetic=tiny",
        "--samples=10",
        "--min-duration=2.5",
        "--target-latency=30",
        "--data=/mnt/own",
        "--rows=1000",
        "--kind=half",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1.0, 0.0])
def test_rates_and_durations_that_cannot_be_are_refused(value: float) -> None:
    (duration,) = refusals(RunOptions(min_duration_s=value))
    assert duration == f"--min-duration {value} is not from 0.001 to 1000000000"
    assert list(refusals(RunOptions(target_qps=value, min_duration_s=1.0))) == [
        f"--target-qps {value} is not from 0.001 to 1e+12"
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"instances": 2, "scenario": Scenario.MULTI_STREAM}, "--instances must be 1"),
        ({"target_latency_ms": 5}, "--target-latency is for Server"),
        ({"synthetic_samples": 9}, "--synthetic-samples is for synthetic data"),
        ({"synthetic_labels": SyntheticLabels.WHOLE}, "--synthetic-labels is for synthetic data"),
        ({"synthetic": SyntheticSize.TINY, "synthetic_samples": 9, "samples": 9}, "--samples exclude each other"),
    ],
)
def test_options_that_contradict_each_other_are_told(options: dict[str, Any], said: str) -> None:
    (contradiction,) = RunOptions(**options).contradictions()
    assert said in contradiction
    with pytest.raises(UsageError, match=said):
        run_of(RunCommand(**options), Cell("bert", "onnxruntime", Device.CPU, "bert"))


def test_a_switch_is_off_unless_it_is_named(tmp_path: Path) -> None:
    assert parsed(["run"]).trace is False
    assert parsed(["run", "--trace"]).trace is True
    assert "--trace" in container_arguments(command_line(tmp_path, "--synthetic=tiny", "--trace"))
    assert "no-trace" not in _host_options()


def test_seeds_have_64_bits() -> None:
    for value in (0, 2**64 - 1):
        (word,) = (word for word in RunCommand(schedule_rng_seed=value).argv() if "seed" in word)
        assert parsed(["run", word]).schedule_rng_seed == value
    for value in (2**64, -1):
        (refusal,) = refusals(RunOptions(schedule_rng_seed=value))
        assert refusal.startswith(f"--schedule-rng-seed {value} is not from 0 to ")


@pytest.mark.parametrize("name", [each.name for each in declared(RunOptions) if each.bounds == COUNT])
def test_counts_of_more_than_32_bits_are_refused(name: str) -> None:
    given: dict[str, Any] = {name: 2**31 - 1}
    assert list(refusals(RunOptions(**given))) == []
    for value in (2**31, 10**30, 0):
        given = {name: value}
        (refusal,) = refusals(RunOptions(**given))
        assert refusal.endswith(f"{value} is not from 1 to 2147483647")
