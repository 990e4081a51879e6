"""rounds.yaml against the official submission checker and LoadGen's settings, field by field.

Needs MLPERF_INFERENCE, a checkout of mlcommons/inference; with its tags and history for rounds before v5.0 and for
versions of LoadGen.
"""

from collections.abc import Callable
from typing import Any

import pytest

from mlperf_docker.rounds.loading import load
from mlperf_docker.rounds.round import Round, RoundBenchmark, Seeds
from mlperf_docker.rounds.words import Division, Suite

from . import upstream

ROUNDS = load()
OURS = ("resnet", "retinanet", "bert-99", "bert-99.9", "3d-unet-99", "3d-unet-99.9", "rnnt", "dlrm-99", "dlrm-99.9")
NAMES = (*OURS, "dlrm-v2-99", "dlrm-v2-99.9")
"""The checker's names of what rounds.yaml is about."""
SUITES = {Suite.EDGE: "edge", Suite.DATACENTER: "datacenter", Suite.BOTH: "datacenter-edge"}
SHARED = ("min_duration_ms", "accuracy_log_limit_bytes", "filled_system_keys", "system_keys", "measurement_keys")
COUNTS = ("performance_sample_count", "dataset_size", "offline_min_samples")
each_round = pytest.mark.parametrize("round_", ROUNDS.all, ids=lambda each: each.name)


@pytest.fixture
def theirs(round_: Round) -> dict[str, Any]:
    return upstream.constants(round_.name)


def of_benchmarks(round_: Round, value: Callable[[RoundBenchmark], object]) -> dict[str, object]:
    return {each.name: value(each) for each in round_.benchmarks}


def known(theirs: dict[str, Any], names: object) -> dict[str, Any]:
    return {name: theirs[name] for name in theirs if name in set(names)}  # type: ignore[call-overload]


def _is_accepted(name: str, theirs: dict[str, Any]) -> bool:
    """Whether the closed division takes a benchmark from some type of system."""
    return name in theirs["models"] and any(name in theirs["required"][suite] for suite in ("edge", "datacenter"))


@each_round
def test_the_benchmarks_of_a_round_and_their_divisions_are_upstreams(round_: Round, theirs: dict[str, Any]) -> None:
    counted = [name for name in NAMES if name in theirs["performance_sample_count"]]
    closed = {name for name in counted if _is_accepted(name, theirs)}
    assert {each.name for each in round_.benchmarks} == set(counted)
    assert {each.name for each in round_.benchmarks if each.is_closed} == closed
    assert all(Division.OPEN in each.divisions for each in round_.benchmarks)


@each_round
def test_scenarios_by_type_of_system_are_upstreams(round_: Round, theirs: dict[str, Any]) -> None:
    closed = [each for each in round_.benchmarks if each.is_closed]
    for suite, word in SUITES.items():
        own = {each.name: set(each.required(suite)) for each in closed if each.required(suite)}
        optional = {each.name: set(found.optional) for each in closed if (found := each.suites.get(suite))}
        names = [each.name for each in closed]
        assert own == {name: set(found) for name, found in known(theirs["required"][word], names).items()}, word
        assert {name: found for name, found in optional.items() if found} == known(theirs["optional"][word], names)


@each_round
def test_targets_are_upstreams(round_: Round, theirs: dict[str, Any]) -> None:
    names = [each.name for each in round_.benchmarks]
    for name, expected in known(theirs["targets"], names).items():
        benchmark = round_.benchmark(name)
        assert benchmark is not None
        found = [
            part for target in benchmark.targets for part in (target.metric, pytest.approx(target.value, rel=1e-12))
        ]
        assert expected == found, name
    assert known(theirs["targets"], names).keys() == set(names)


@each_round
@pytest.mark.parametrize("field", COUNTS)
def test_counts_are_upstreams(round_: Round, field: str, theirs: dict[str, Any]) -> None:
    if theirs[field] is None:
        pytest.skip(f"the checker of {round_.name} has no table of {field}")
    own = of_benchmarks(round_, lambda each: getattr(each, field))
    assert own == known(theirs[field], own)


@each_round
def test_bounds_on_latency_are_upstreams(round_: Round, theirs: dict[str, Any]) -> None:
    own = {each.name: {"Server": each.server_latency_ms * 1_000_000} for each in _bounded(round_)}
    assert own == known(theirs["latency_ns"], [each.name for each in round_.benchmarks])


def _bounded(round_: Round) -> list[Any]:
    return [each for each in round_.benchmarks if each.server_latency_ms is not None]


@each_round
def test_compliance_tests_are_upstreams(round_: Round, theirs: dict[str, Any]) -> None:
    own = {each.name: [test.value for test in each.tests] for each in round_.benchmarks}
    assert own == known(theirs["tests"], own)


@each_round
def test_seeds_are_upstreams(round_: Round, theirs: dict[str, Any]) -> None:
    assert round_.seeds.model_dump() == theirs["seeds"]
    assert (round_.test05_seeds.model_dump() if round_.test05_seeds else None) == theirs["test05_seeds"]


@each_round
@pytest.mark.parametrize("field", SHARED)
def test_keys_and_limits_are_upstreams(round_: Round, field: str, theirs: dict[str, Any]) -> None:
    own = getattr(round_, field)
    assert own == theirs[field] if isinstance(own, int) else sorted(own) == sorted(theirs[field])


@each_round
def test_the_layout_of_a_tree_is_upstreams(round_: Round, theirs: dict[str, Any]) -> None:
    if round_.name >= "v5.0":  # the old ones are in a package that knows no mlperf.conf any more
        assert set(round_.layout.configuration_files) == set(theirs["configuration_files"])
    else:
        assert set(round_.layout.configuration_files) - {"mlperf.conf"} < set(theirs["configuration_files"])
        assert "mlperf.conf" in theirs["configuration_files"]
    if theirs["folders"] is None:
        return
    root = "{division}/{submitter}/"
    layout = round_.layout
    file = "{file}" if layout.is_separate else layout.measurements_file
    assert theirs["folders"] == {
        "source": f"{root}{layout.source}",
        "measurements": f"{root}{layout.measurements}/{file}",
        "compliance": f"{root}{layout.compliance}/",
    }


@each_round
def test_aliases_are_upstreams(round_: Round, theirs: dict[str, Any]) -> None:
    own = {alias: each.name for each in round_.benchmarks for alias in each.aliases}
    models = {"resnet50", "bert", "3d-unet", "rnnt"}
    assert own == {alias: name for alias, name in theirs["aliases"].items() if alias in models}


def test_versions_of_loadgen_with_the_seeds_of_a_round_are_upstreams() -> None:
    for version, seeds in upstream.loadgen_seeds().items():
        expected = [each.name for each in ROUNDS.all if each.seeds.model_dump() == seeds]
        found = [each.name for each in ROUNDS.all if each.has_loadgen(version)]
        assert found == expected or version.startswith("4.1.") or version < "5.0.8", version
    assert "4.1.30" in upstream.loadgen_seeds()


@pytest.mark.parametrize("revision", ["v4.0", "v4.1", "v5.0", "v5.1", "HEAD"])
def test_equal_issue_and_seeds_are_those_of_mlperf_conf(revision: str) -> None:
    settings = upstream.mlperf_conf(revision)
    round_ = ROUNDS.newest if revision == "HEAD" else ROUNDS.find(revision)
    assert round_.seeds == Seeds(**{name: int(settings[f"*.*.{name}"]) for name in upstream.SEEDS})
    keys = {"resnet50": "resnet50", "bert": "bert", "3d-unet": "3d-unet", "retinanet": "retinanet", "rnnt": "rnnt"}
    for each in round_.benchmarks:
        key = keys.get(each.model or "", each.name.rpartition("-")[0])
        equal = settings.get(f"{key}.*.sample_concatenate_permutation") == "1"
        assert each.equal_issue is equal, each.name
        bound = settings.get(f"{key}.Server.target_latency")
        assert each.server_latency_ms is None or str(each.server_latency_ms) == bound, each.name
