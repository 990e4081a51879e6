"""Every option of `mlperf-docker run`, from the command line through the container's to the harness's own options."""

import argparse
import csv
import dataclasses
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from mlperf_docker.cli.app import app
from mlperf_docker.contract.commands import RunCommand
from mlperf_docker.contract.options import RunOptions, declared, refusals
from mlperf_docker.contract.words import Mode, Scenario, SyntheticSize
from mlperf_docker.harness import __main__ as harness
from mlperf_docker.harness.commands import options
from mlperf_docker.harness.loadgen import user_conf

COMMAND = Path(sys.executable).with_name("mlperf-docker")
CELL = ("bert", "--backend=onnxruntime")
"""A cell with two precisions."""

GIVEN: dict[str, tuple[str, Any]] = {
    "scenario": ("Server", Scenario.SERVER),
    "mode": ("accuracy", Mode.ACCURACY),
    "precision": ("int8", "int8"),
    "synthetic": ("full", SyntheticSize.FULL),
    "samples": ("11", 11),
    "min-duration": ("12.5", 12.5),
    "target-qps": ("13.25", 13.25),
    "target-latency": ("14", 14),
    "batch-size": ("15", 15),
    "instances": ("16", 16),
    "threads-per-instance": ("17", 17),
    "max-ind-range": ("18", 18),
}
"""Option of `run` → what is typed and what the harness makes of it: never its default, and no two alike."""

FIELDS = {"min-duration": "min_duration_s", "target-latency": "target_latency_ms"}
"""Options that have another name in `RunOptions` of either side, for their unit."""
HARNESS_FIELDS = {"threads-per-instance": "threads"}

FILES = {"dataset": "data", "model-file": "model-file", "user-conf": "user-conf"}
"""Options of `run` with paths → the harness's own, with paths in the container."""

HOST_ONLY = {
    *("backend", "device", "require-dataset", "results", "dry-run", "json", "help"),
    *("cpus", "cpuset", "memory", "gpus"),
    *("pull", "base", "bootstrap-base", "registry"),
}
"""Options of `run` that the harness is told nothing of: they choose the image, the container and the output."""

HARNESS_ONLY = {*("help", "cell", "model", "backend", "device"), "workers", *("models", "cache", "results")}
"""Options of the harness's `run` that are in cell.json, are mount points, or have a default that is always right."""


def command_line(place: Path, *arguments: str) -> list[str]:
    """The docker command that `run` would be equal to, where there is no engine."""
    homes = {f"XDG_{kind}_HOME": str(place / kind.lower()) for kind in ("CACHE", "DATA", "STATE")}
    environment = {**os.environ, **homes, "DOCKER_HOST": f"unix://{place}/no-engine.sock"}
    line = [str(COMMAND), "run", *CELL, *arguments, "--dry-run"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout)


def container_arguments(command: list[str]) -> list[str]:
    return command[command.index("run", command.index("run") + 1) :]


def harness_options(arguments: list[str]) -> options.RunOptions:
    cell = ("--model=bert", "--backend=onnxruntime", "--device=cpu")
    return harness.options_of(harness.parser().parse_args([*arguments, *cell]))


def field_of(option: str) -> str:
    return FIELDS.get(option, option.replace("-", "_"))


def test_every_value_arrives(tmp_path: Path) -> None:
    command = command_line(tmp_path, *(f"--{option}={text}" for option, (text, _) in GIVEN.items()))
    made = harness_options(container_arguments(command))
    arrived = {option: getattr(made, HARNESS_FIELDS.get(option, field_of(option))) for option in GIVEN}
    assert arrived == {option: value for option, (_, value) in GIVEN.items()}
    assert {option: type(value) for option, value in arrived.items()} == {
        option: type(value) for option, (_, value) in GIVEN.items()
    }


def test_the_values_are_no_defaults(tmp_path: Path) -> None:
    made = harness_options(["run"])
    for option, (_, value) in GIVEN.items():
        assert getattr(made, HARNESS_FIELDS.get(option, field_of(option))) != value, option
    numbers = [value for _, value in GIVEN.values() if not isinstance(value, str)]
    assert len(set(numbers)) == len(numbers)


def test_what_is_not_given_is_the_harness_own_default(tmp_path: Path) -> None:
    command = command_line(tmp_path, "--synthetic=tiny")
    assert harness_options(container_arguments(command)) == harness_options(["run", "--synthetic=tiny"])


def test_files_arrive_by_their_places_in_the_container(tmp_path: Path) -> None:
    files = {option: tmp_path / option for option in FILES}
    files["dataset"].mkdir()
    (files["dataset"] / "dev-v1.1.json").write_text("{}")
    files["model-file"].write_bytes(b"weights")
    files["user-conf"].write_text("*.Offline.target_qps = 5\n")
    command = command_line(tmp_path, *(f"--{option}={path}" for option, path in files.items()))
    parsed = harness.parser().parse_args(container_arguments(command))
    mounts = dict(_mounts(command))
    for option, name in FILES.items():
        inside = getattr(parsed, name.replace("-", "_"))
        host = next(mounts[place] / inside.relative_to(place) for place in mounts if inside.is_relative_to(place))
        assert host == files[option]
    assert parsed.cache in mounts
    assert parsed.results in mounts
    arguments = [text.replace(str(parsed.user_conf), str(files["user-conf"])) for text in container_arguments(command)]
    assert harness_options(arguments).user_conf == user_conf.read(files["user-conf"])


def _mounts(command: list[str]) -> list[tuple[Path, Path]]:
    rows = csv.reader(word.removeprefix("--mount=") for word in command if word.startswith("--mount="))
    fields = [dict(field.partition("=")[::2] for field in row) for row in rows]
    return [(Path(each["dst"]), Path(each["src"])) for each in fields]


def test_no_option_is_on_one_side_alone() -> None:
    """A new one is either in `GIVEN`, and so is seen to arrive, or in one of the lists of those that need not."""
    passed = {*GIVEN, *FILES}
    assert _host_options() == passed | HOST_ONLY
    assert _harness_options() == {*GIVEN, *FILES.values()} | HARNESS_ONLY


def test_no_field_of_the_options_is_on_one_side_alone() -> None:
    assert _fields(RunOptions) == {*map(field_of, GIVEN), "workers"}
    passed = {HARNESS_FIELDS.get(option, field_of(option)) for option in GIVEN}
    assert _fields(options.RunOptions) == passed | {"cell", "folders", "model_file", "user_conf", "workers"}


@pytest.mark.parametrize("option", [option for option, (_, value) in GIVEN.items() if isinstance(value, int | float)])
def test_numbers_have_the_same_bounds_on_both_sides(option: str) -> None:
    made = RunOptions()
    for number in (0, 0.0001, 0.001, 1, 2**31 - 1, 2**31, 1e9, 1.1e9, 1e12, 1.1e12, -1):
        if isinstance(GIVEN[option][1], int) and number != int(number):
            continue
        value = type(GIVEN[option][1])(number)
        given: dict[str, Any] = {field_of(option): value}
        assert _host_takes(dataclasses.replace(made, **given)) is _harness_takes(option, str(value)), value


def _host_takes(made: RunOptions) -> bool:
    return not list(refusals(made))


def _harness_takes(option: str, text: str) -> bool:
    try:
        harness.parser().parse_args(["run", f"--{option}={text}"])
    except SystemExit:
        return False
    return True


def _host_options() -> set[str]:
    command = typer.main.get_command(app)
    context = typer.Context(command)
    run = command.get_command(context, "run")  # type: ignore[attr-defined]
    names = [name for each in run.get_params(context) for name in (*each.opts, *each.secondary_opts)]
    return {name.removeprefix("--") for name in names if name.startswith("--")}


def _harness_options() -> set[str]:
    root = harness.parser()
    (commands,) = (each for each in root._actions if isinstance(each, argparse._SubParsersAction))
    names = [name for each in commands.choices["run"]._actions for name in each.option_strings]
    return {name.removeprefix("--") for name in names if name.startswith("--")}


def _fields(kind: Any) -> set[str]:
    return {each.name for each in dataclasses.fields(kind)}


def test_options_become_the_words_of_a_command_line() -> None:
    made = RunCommand(
        scenario=Scenario.SERVER,
        synthetic=SyntheticSize.TINY,
        samples=10,
        min_duration_s=2.5,
        target_latency_ms=30,
        max_ind_range=1000,
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
        "--max-ind-range=1000",
        "--data=/mnt/own",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1.0, 0.0])
def test_rates_and_durations_that_cannot_be_are_refused(value: float) -> None:
    (duration,) = refusals(RunOptions(min_duration_s=value))
    assert duration == f"--min-duration {value} is not from 0.001 to 1000000000"
    assert list(refusals(RunOptions(target_qps=value, min_duration_s=1.0))) == [
        f"--target-qps {value} is not from 0.001 to 1e+12"
    ]


@pytest.mark.parametrize("name", [each.name for each in declared(RunOptions) if each.kind is int])
def test_counts_of_more_than_32_bits_are_refused(name: str) -> None:
    given: dict[str, Any] = {name: 2**31 - 1}
    assert list(refusals(RunOptions(**given))) == []
    for value in (2**31, 10**30, 0):
        given = {name: value}
        (refusal,) = refusals(RunOptions(**given))
        assert refusal.endswith(f"{value} is not from 1 to 2147483647")
