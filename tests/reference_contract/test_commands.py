"""Options that a reference implementation does not have."""

from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Precision
from mlperf_docker.reference_contract.commands import refused


def test_a_reference_takes_the_precisions_that_it_has() -> None:
    asked = RunOptions(precision=Precision.INT8)
    assert list(refused(asked, ["fp32", "int8"])) == []
    assert list(refused(asked, ["fp32"])) == ["the reference implementation has no int8 here; it has fp32"]


def test_an_option_of_our_own_harness_is_no_references() -> None:
    (told,) = refused(RunOptions(instances=2), ["fp32"])
    assert "--instances is for our own harness" in told
