"""Software of results, for the description of their system."""

from mlperf_docker.systems.description import Software
from mlperf_docker.systems.software import software_of
from tests.results.run_results import run_result

VERSIONS = {"python": "3.11.2", "loadgen": "6.0.17", "numpy": "2.4.6"}
HOST = {
    "engine": {"name": "Docker", "version": "27.1", "runtimes": []},
    "gpus": [{"name": "L4", "memory_bytes": None, "power_limit_w": None, "driver": "580.95", "count": 1}],
}


def test_software_of_several_results_is_told_once_each() -> None:
    results = [
        run_result(versions={**VERSIONS, "onnxruntime": "1.32.0"}, host=HOST),
        run_result(versions={**VERSIONS, "torch": "2.13.0"}, host=HOST),
        run_result(versions={**VERSIONS, "onnxruntime": "1.32.0"}, host=None, image=None),
    ]
    assert software_of(results) == Software(
        "onnxruntime 1.32.0, torch 2.13.0", "Python 3.11.2, LoadGen 6.0.17, numpy 2.4.6, Docker 27.1, base debian"
    )


def test_software_of_a_gpus_run_has_its_driver() -> None:
    assert "driver 580.95" in software_of([run_result(device="cuda", host=HOST)]).stack


def test_a_framework_without_a_version_is_told_by_its_backend() -> None:
    assert software_of([run_result(versions=VERSIONS)]).framework == "onnxruntime"


def test_software_of_no_results_is_empty() -> None:
    assert software_of([]) == Software("", "")
