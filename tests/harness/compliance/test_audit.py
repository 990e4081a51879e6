"""audit.config: what it says, and whether LoadGen took it."""

import os
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ModelSpec
from mlperf_docker.contract.cell import ComplianceTests
from mlperf_docker.contract.words import ComplianceTest
from mlperf_docker.harness.compliance import audit
from tests.harness.compliance.logs import detail

KNOWN = ComplianceTests(tuple(ComplianceTest), 256)
FOUND = "Found Audit Config file (audit.config). Overriding TestSettings from audit.config file."
TAKEN = {"effective_accuracy_log_rng_seed": 720381539243781796, "effective_accuracy_log_sampling_target": 256}


def test_the_sampling_target_is_the_models() -> None:
    text = audit.text(ComplianceTest.TEST01, KNOWN)
    assert "*.*.accuracy_log_sampling_target = 256\n" in text
    assert "sampling" not in audit.text(ComplianceTest.TEST04, KNOWN)


def test_settings_that_loadgen_took_are_not_told() -> None:
    assert list(audit.unread(ComplianceTest.TEST01, KNOWN, detail([FOUND], **TAKEN))) == []


def test_an_audit_config_that_was_not_read_is_told() -> None:
    assert list(audit.unread(ComplianceTest.TEST01, KNOWN, detail(**TAKEN))) == ["LoadGen did not read audit.config"]


def test_a_setting_that_loadgen_did_not_take_is_told() -> None:
    (said,) = audit.unread(
        ComplianceTest.TEST01, KNOWN, detail([FOUND], **{**TAKEN, "effective_accuracy_log_sampling_target": 0})
    )
    assert said == "LoadGen used accuracy_log_sampling_target 0, and audit.config says 256"


def test_test05_wants_other_seeds() -> None:
    log = detail(effective_qsl_rng_seed=1, effective_schedule_rng_seed=2)
    assert list(audit.other_seeds(log, {"qsl_rng_seed": 3, "schedule_rng_seed": 4})) == []
    (said,) = audit.other_seeds(log, {"qsl_rng_seed": 1, "schedule_rng_seed": 4})
    assert said == "LoadGen used the performance run's qsl_rng_seed, and TEST05 has others"


def settings_of(text: str) -> dict[str, str]:
    """Key without model and scenario → value, of those for every model."""
    pairs = (line.split(" = ") for line in text.splitlines() if line.startswith("*"))
    return {name.split(".")[2]: value.strip() for name, value in pairs}


MODELS = [model for model in Catalog.load().models if model.compliance]


@pytest.mark.skipif(not os.environ.get("MLPERF_INFERENCE"), reason="no checkout of mlcommons/inference is given")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_settings_are_upstreams(model: ModelSpec) -> None:
    folder = Path(os.environ["MLPERF_INFERENCE"]) / "compliance"
    assert model.compliance is not None
    ours = settings_of(audit.text(ComplianceTest.TEST01, ComplianceTests(**model.compliance.model_dump())))
    assert ours == settings_of((folder / "TEST01" / model.name / "audit.config").read_text())
    fourth = settings_of((folder / "TEST04/audit.config").read_text())
    assert settings_of(audit.text(ComplianceTest.TEST04, KNOWN)) == fourth
