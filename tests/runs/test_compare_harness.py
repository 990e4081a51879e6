"""Turns of `compare-harness`: which runs there are, in which order."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.display.progress import Display
from mlperf_docker.engine.plan import Limits
from mlperf_docker.images.sources import Sources
from mlperf_docker.reference.checkout import ReferenceCheckout
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs import session
from mlperf_docker.runs.compare_harness import HarnessComparison, compare
from mlperf_docker.runs.request import RunRequest
from tests.evidence.test_evidence import Quiet
from tests.results.run_results import run_result


@pytest.fixture
def request_() -> RunRequest:
    spec = find(Catalog.load(), "resnet50", "onnxruntime")
    checkout = ReferenceCheckout(Path("/inference"), "0" * 40, changed=False)
    return RunRequest(spec, RunOptions(min_duration_s=5), Limits(), Sources("registry"), checkout=checkout)


def test_harnesses_take_turns_on_the_same_options(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool, float | None]] = []

    def run(asked: RunRequest, display: Display) -> RunResult:
        seen.append((asked.options.mode, asked.checkout is not None, asked.options.min_duration_s))
        harness = {"name": "reference", "commit": None, "changed": None} if asked.checkout else None
        return run_result(mode=asked.options.mode, harness=harness)

    monkeypatch.setattr(session, "run", run)
    found = compare(HarnessComparison(request_, rounds=2), Quiet())
    assert seen == [
        ("accuracy", False, None),
        ("accuracy", True, None),
        ("performance", False, 5),
        ("performance", True, 5),
        ("performance", True, 5),
        ("performance", False, 5),
    ]
    assert found.ratios == (1.0, 1.0)


def test_a_reference_run_is_recorded_with_its_checkout(request_: RunRequest) -> None:
    from mlperf_docker.runs.on_record import command

    assert {"--harness=reference", "--reference=/inference"} <= set(command(request_))
    assert not [word for word in command(replace(request_, checkout=None)) if "reference" in word]


def test_a_reference_job_mounts_the_checkout_read_only(request_: RunRequest) -> None:
    asked = replace(request_, options=replace(request_.options, synthetic=SyntheticSize.TINY))
    (mount,) = [each for each in session._inputs(asked, print).mounts if each.container == "/reference"]
    assert (mount.host, mount.read_only) == (Path("/inference"), True)
    assert asked.title == "resnet50-onnxruntime-cpu-reference-Offline-performance"
