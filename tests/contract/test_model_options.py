"""Options of one model, from images.yaml through both command lines to the harness's benchmark."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.catalog.spec import ModelOption, ModelSpec
from mlperf_docker.contract.commands import Command
from mlperf_docker.contract.model_options import ModelOptions, of_values
from mlperf_docker.contract.options import declared
from mlperf_docker.harness.__main__ import COMMANDS
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.commands import arguments
from mlperf_docker.harness.models import registry
from mlperf_docker.recipe import render
from mlperf_docker.system.paths import assets

CATALOG = Catalog.load(assets() / "images.yaml")
TOOL = Path(sys.executable).with_name("mlperf-docker")
BY_WORD = {"run": ("run",), "convert": ("models", "convert"), "convert-data": ("data", "convert")}
"""Command of the harness → the host's command with the same options."""

DECLARED = [
    pytest.param(model, command, option, id=f"{model.name} {command} {option.name}")
    for model in CATALOG.models
    for command, options in model.options.items()
    for option in options
]


def a_value(option: ModelOption) -> int | str:
    return option.choices[-1] if option.choices else option.least + 6


def tool(*given: str, expect: int, place: Path) -> subprocess.CompletedProcess[str]:
    homes = {f"XDG_{kind}_HOME": str(place / kind.lower()) for kind in ("CACHE", "DATA", "STATE")}
    environment = {**os.environ, **homes, "DOCKER_HOST": f"unix://{place}/no-engine.sock", "COLUMNS": "200"}
    done = subprocess.run([str(TOOL), *given], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == expect, done.stderr
    return done


def parsed(model: ModelSpec, place: Path, *words: str) -> Command[object]:
    """What the harness in an image of *model* makes of a command line."""
    path = place / "cell.json"
    path.write_text(render.cell(find(CATALOG, model.name)).to_json())
    line = [*words, f"--cell={path}"]
    found = arguments.parser(COMMANDS, arguments.options_of_model(line)).parse_args(line)
    return arguments.command_of(found, arguments.cell_of(found))


@pytest.mark.parametrize(("model", "command", "option"), DECLARED)
def test_a_value_arrives_in_the_harness(model: ModelSpec, command: str, option: ModelOption, tmp_path: Path) -> None:
    given = of_values({option.name: a_value(option)})
    needed = ("--model-file=m", "--output=o.onnx") if command == "convert" else ()
    made = parsed(model, tmp_path, command, *needed, *given.arguments())
    assert made.model_options == given
    assert parsed(model, tmp_path, command, *needed).model_options == ModelOptions()
    assert registry.load(model.name).configured(given) != registry.load(model.name)


@pytest.mark.parametrize(("model", "command", "option"), DECLARED)
def test_the_command_shows_it(model: ModelSpec, command: str, option: ModelOption, tmp_path: Path) -> None:
    text = tool(*BY_WORD[command], "--help", expect=0, place=tmp_path).stdout
    assert f"--{option.name} {option.metavar}" in " ".join(text.split())
    assert f"{model.title}: {option.help.split()[0]}" in text


OF_RUN = [(model, option) for model in CATALOG.models for option in model.options_of("run")]


@pytest.mark.parametrize(("model", "option"), OF_RUN, ids=lambda each: each.name)
def test_run_hands_it_to_the_container(model: ModelSpec, option: ModelOption, tmp_path: Path) -> None:
    value = a_value(option)
    given = ("run", f"--{option.name}", str(value), model.name, "--synthetic=tiny", "--dry-run")
    words = shlex.split(tool(*given, expect=0, place=tmp_path).stdout)
    assert f"--{option.name}={value}" in words


@pytest.mark.parametrize(("model", "command", "option"), DECLARED)
def test_a_value_out_of_bounds_is_refused(model: ModelSpec, command: str, option: ModelOption, tmp_path: Path) -> None:
    bad = "fp99" if option.choices else str(option.least - 1)
    needed = (f"--model-file={tmp_path}/m", f"--to={tmp_path}/o.onnx") if command == "convert" else ()
    tool(*BY_WORD[command], model.name, *needed, f"--{option.name}={bad}", expect=2, place=tmp_path)
    with pytest.raises(SystemExit, match="2"):
        parsed(model, tmp_path, command, f"--{option.name}={bad}")


@pytest.mark.parametrize(("model", "command", "option"), DECLARED)
def test_another_model_does_not_have_it(model: ModelSpec, command: str, option: ModelOption, tmp_path: Path) -> None:
    other = next(each for each in CATALOG.models if option.name not in {own.name for own in each.options_of(command)})
    needed = (f"--model-file={tmp_path}/m", f"--to={tmp_path}/o.onnx") if command == "convert" else ()
    given = (other.name, *needed, f"--{option.name}={a_value(option)}")
    done = tool(*BY_WORD[command], *given, expect=2, place=tmp_path)
    assert f"{other.name} has no option --{option.name}." in done.stderr
    assert f"It is an option of {model.name}." in done.stderr
    with pytest.raises(UsageError, match="has no option"):
        registry.load(other.name).configured(of_values({option.name: a_value(option)}))


def test_none_is_called_like_an_option_of_its_command() -> None:
    for kind in COMMANDS:
        own = {option.flag for option in declared(kind)} | {"--cell", "--model", "--backend", "--device", "--help"}
        of_models = {f"--{option.name}" for model in CATALOG.models for option in model.options_of(kind.name)}
        assert not own & of_models
