"""Places of a tree in the layouts of all rounds."""

from pathlib import PurePosixPath

from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.rounds import loading
from mlperf_docker.rounds.words import Division
from mlperf_docker.submission.layout import EntryPlace, Organisation

ROUNDS = loading.load()


def entry(name: str) -> EntryPlace:
    organisation = Organisation(ROUNDS.find(name).layout, Division.CLOSED, "acme")
    return organisation.entry("box", "resnet", Scenario.OFFLINE)


def test_a_round_from_v6_0_has_everything_in_the_folder_of_the_scenario() -> None:
    place = entry("v6.1")
    folder = PurePosixPath("closed/acme/results/box/resnet/Offline")
    assert place.measurements == place.compliance == place.results == folder
    assert place.measurements_file == folder / "measurements.json"
    assert place.logs(Mode.PERFORMANCE) == folder / "performance/run_1"
    assert place.logs(Mode.ACCURACY) == folder / "accuracy"
    assert place.logs(ComplianceTest.TEST01) == folder / "TEST01/performance/run_1"
    assert place.test_accuracy(ComplianceTest.TEST01) == folder / "TEST01/accuracy"
    assert place.organisation.source == PurePosixPath("closed/acme/src")


def test_a_round_up_to_v5_1_has_trees_of_settings_and_of_compliance_tests() -> None:
    place = entry("v5.1")
    assert place.results == PurePosixPath("closed/acme/results/box/resnet/Offline")
    assert place.measurements_file == PurePosixPath("closed/acme/measurements/box/resnet/Offline/box.json")
    tests = PurePosixPath("closed/acme/compliance/box/resnet/Offline")
    assert place.logs(ComplianceTest.TEST04) == tests / "TEST04/performance/run_1"
    assert place.organisation.source == PurePosixPath("closed/acme/code")


def test_an_organisation_has_its_own_documents_in_every_round() -> None:
    for name in ROUNDS.names:
        organisation = Organisation(ROUNDS.find(name).layout, Division.OPEN, "acme")
        assert organisation.system("box") == PurePosixPath("open/acme/systems/box.json")
        assert organisation.calibration == PurePosixPath("open/acme/documentation/calibration.md")
        assert organisation.model_mapping == PurePosixPath("open/acme/model_mapping.json")
