"""Trees of finished campaigns, and campaigns that make none."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun, State
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.results import store
from mlperf_docker.results.values import HarnessUsed, RequestOnRecord
from mlperf_docker.rounds import loading
from mlperf_docker.submission import creating, layout
from mlperf_docker.submission.checks import checking
from mlperf_docker.submission.creating import Choices, CreatedTree
from mlperf_docker.submission.problems import SubmissionError
from tests.fixtures.submission_trees import Trees, edit_log
from tests.submission.planned import HARNESS, Planner, changed

RESNET = "- model: resnet50"
SLOT = "resnet Offline performance"
BOTH = "datacenter,edge"


@pytest.fixture
def planner(trees: Trees, tmp_path: Path) -> Planner:
    return Planner(trees.logs, tmp_path)


def created(plan: CampaignPlan, target: Path, **choices: bool) -> CreatedTree:
    return creating.create(plan, target, Choices(**choices), Catalog.load().models, lambda _: {})


def refused(plan: CampaignPlan, target: Path, **choices: bool) -> list[str]:
    """The problems of *plan*, of which nothing is written."""
    with pytest.raises(SubmissionError) as caught:
        created(plan, target, **choices)
    assert not target.exists()
    return [f"{each.where}: {each.what}" for each in caught.value.problems]


def finished(planner: Planner, cells: str = RESNET, **head: str) -> CampaignPlan:
    return planner.plan(planner.campaign(cells, **head))


def test_a_tree_of_a_closed_campaign_has_every_file_of_its_layout(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner)
    tree = created(plan, tmp_path / "tree")
    organisation = tree.entries[0].place.organisation
    for scenario in (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.OFFLINE):
        place = organisation.entry("box", "resnet", scenario)
        assert names(tmp_path / "tree" / place.performance) == {*layout.PERFORMANCE_FILES}
        assert names(tmp_path / "tree" / place.accuracy) == {*layout.ACCURACY_FILES}
        wanted = {"performance", "accuracy", "TEST01", "TEST04", "user.conf", "README.md", "measurements.json"}
        assert names(tmp_path / "tree" / place.results) == wanted
        assert names(tmp_path / "tree" / place.results / "TEST01/accuracy") == {*layout.TEST_ACCURACY_FILES}
        assert names(tmp_path / "tree" / place.results / "TEST04") == {"performance", layout.VERIFIED_PERFORMANCE}
    assert names(tmp_path / "tree" / organisation.root) == {"results", "systems", "src", "documentation"}


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_logs_are_in_the_tree_as_they_are(planner: Planner, tmp_path: Path) -> None:
    tree = created(finished(planner), tmp_path / "tree")
    for entry in tree.entries:
        for kind, run in entry.by_kind.items():
            for name in layout.PERFORMANCE_FILES:
                made = tmp_path / "tree" / entry.place.logs(kind) / name
                assert made.read_bytes() == (Path(run.results_dir) / name).read_bytes()


def test_a_long_accuracy_log_is_shortened_and_kept_whole_outside(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner)
    run = next(each.result for each in plan.runs if each.kind is Mode.ACCURACY)
    assert run is not None
    log = Path(run.results_dir) / layout.ACCURACY_LOG
    log.write_text(log.read_text() * 20)
    tree = created(plan, tmp_path / "tree")
    place = tree.entries[0].place.accuracy
    assert (tmp_path / "tree" / place / layout.ACCURACY_LOG).stat().st_size <= 10240
    assert tree.full_logs == tmp_path / "tree-full-logs"
    assert (tree.full_logs / place / layout.ACCURACY_LOG).read_bytes() == log.read_bytes()
    assert re.search(r"^hash=[0-9a-f]{64}$", (tmp_path / "tree" / place / layout.ACCURACY).read_text(), re.MULTILINE)


def test_measurements_have_the_five_keys_and_the_official_address(planner: Planner, tmp_path: Path) -> None:
    tree = created(finished(planner), tmp_path / "tree")
    facts = json.loads((tmp_path / "tree" / tree.entries[0].place.measurements_file).read_text())
    assert tuple(facts) == loading.load().newest.measurement_keys
    assert facts["starting_weights_filename"] == tree.entries[0].spec.model.files[0].urls[0]
    assert (facts["input_data_types"], facts["weight_data_types"], facts["retraining"]) == ("fp32", "fp32", "no")
    assert all(facts.values())


def test_sources_have_a_line_to_repeat_each_run_and_its_result(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner)
    created(plan, tmp_path / "tree")
    sources = tmp_path / "tree/closed/Acme/src/resnet/box"
    lines = [line for line in (sources / "repeat.sh").read_text().splitlines() if line.startswith("mlperf-docker run")]
    assert len(lines) == len(set(lines)) == len(plan.runs) == 12
    results = [json.loads(each.read_text()) for each in (sources / "results").iterdir()]
    assert len(results) == len(plan.runs)
    assert not any(str(tmp_path) in json.dumps(each) for each in results)


def test_a_tree_of_synthetic_results_is_refused_without_the_switch_and_marked_with_it(
    trees: Trees, tmp_path: Path
) -> None:
    plan = finished(Planner(trees.logs, tmp_path, synthetic=True))
    assert len(refused(plan, tmp_path / "tree")) == len(plan.runs)
    tree = created(plan, tmp_path / "tree", allow_synthetic=True)
    place = tree.entries[0].place
    marked = (layout.SYNTHETIC_NOTE, place.measurements / layout.README, place.measurements_file)
    for path in (*marked, place.organisation.system("box"), place.organisation.source / "resnet/box/README.md"):
        assert layout.SYNTHETIC in (tmp_path / "tree" / path).read_text()


def test_runs_that_lack_are_told_all_at_once_with_the_next_command(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner)
    missing = replace(plan, runs=tuple(replace(each, state=State.MISSING, result=None) for each in plan.runs))
    with pytest.raises(SubmissionError) as caught:
        created(missing, tmp_path / "tree")
    assert len(caught.value.problems) == len(plan.runs)
    assert f"mlperf-docker campaign run {tmp_path}/campaign.yaml" in str(caught.value)


def test_an_invalid_run_is_no_part_of_a_tree(planner: Planner, tmp_path: Path) -> None:
    why = ("early stopping is not met",)

    def invalid(run: PlannedRun) -> PlannedRun:
        return replace(run, state=State.INVALID, result=None, unfit=run.result, why=why)

    plan = changed(finished(planner), SLOT, invalid)
    assert refused(plan, tmp_path / "tree") == [f"{SLOT}: the run is INVALID: {why[0]}"]


def test_a_scenario_that_is_not_planned_is_told_with_what_it_can_be_inferred_from(
    planner: Planner, tmp_path: Path
) -> None:
    plan = finished(planner, "- {model: resnet50, scenarios: [SingleStream]}")
    with pytest.raises(SubmissionError) as caught:
        created(plan, tmp_path / "tree")
    assert [each.where for each in caught.value.problems] == ["resnet MultiStream", "resnet Offline"]
    assert all("--infer" in each.fix for each in caught.value.problems)


def test_one_scenario_fills_an_edge_benchmark_by_inference(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner, "- {model: resnet50, scenarios: [SingleStream]}")
    tree = created(plan, tmp_path / "tree", infer=True)
    assert [each.inferred_from for each in tree.entries] == [None, "resnet SingleStream", "resnet SingleStream"]
    results = tmp_path / "tree/closed/Acme/results/box/resnet"
    logs = {(results / scenario / "performance/run_1" / layout.DETAIL).read_bytes() for scenario in names(results)}
    assert (len(names(results)), len(logs)) == (3, 1)
    assert "Inferred from resnet SingleStream" in (results / "Offline/README.md").read_text()
    assert sum("inferred from" in note for note in tree.notes) == 2


def test_measured_scenarios_come_before_inferred_ones(planner: Planner, tmp_path: Path) -> None:
    tree = created(finished(planner), tmp_path / "tree", infer=True)
    assert [each.inferred_from for each in tree.entries] == [None] * 3


def test_nothing_is_inferred_on_a_system_that_is_one_of_a_datacenter_too(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner, "- {model: 3d-unet, benchmarks: [3d-unet-99], scenarios: [SingleStream]}", suite=BOTH)
    (problem,) = refused(plan, tmp_path / "tree", infer=True)
    assert problem == "3d-unet-99 Offline: the round requires it, and nothing of it is planned"


def test_a_run_without_an_estimate_for_multistream_is_not_inferred_from(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner, "- {model: resnet50, scenarios: [SingleStream]}")
    (run,) = (each.result for each in plan.runs if each.kind is Mode.PERFORMANCE)
    assert run is not None
    edit_log(Path(run.results_dir), {"early_stopping_latency_ms": 0})
    (problem,) = refused(plan, tmp_path / "tree", infer=True)
    assert problem.startswith("resnet MultiStream: the performance run in SingleStream has too few queries")


def test_results_at_the_higher_level_fill_the_lower_one_by_inference(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner, "- {model: bert, benchmarks: [bert-99.9]}")
    assert {each.place.benchmark for each in created(plan, tmp_path / "one").entries} == {"bert-99.9"}
    tree = created(plan, tmp_path / "two", infer=True)
    lower = [each for each in tree.entries if each.place.benchmark == "bert-99"]
    assert [each.inferred_from for each in lower] == ["bert-99.9 SingleStream", "bert-99.9 Offline"]


def test_a_file_that_a_run_lacks_is_told(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner)
    (run,) = (each.result for each in plan.runs if "resnet Offline TEST01" in map(str, each.slots))
    assert run is not None
    for name in (layout.VERIFIED_ACCURACY, layout.SUMMARY):
        (Path(run.results_dir) / name).unlink()
    (problem,) = refused(plan, tmp_path / "tree")
    assert problem == f"resnet Offline TEST01: {run.results_dir} lacks {layout.SUMMARY}, {layout.VERIFIED_ACCURACY}"


def test_two_runs_for_one_slot_are_told(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner)
    twice = replace(plan, runs=(*plan.runs, *(replace(each) for each in plan.runs if SLOT in map(str, each.slots))))
    (problem,) = refused(twice, tmp_path / "tree")
    assert problem.startswith(SLOT)
    assert "both fill it" in problem


@pytest.mark.parametrize("submitter", ["Acme Inc", "../up", ".hidden"])
def test_a_name_that_is_none_of_a_folder_is_refused(submitter: str, planner: Planner, tmp_path: Path) -> None:
    (problem,) = refused(finished(planner, submitter=f'"{submitter}"'), tmp_path / "tree")
    assert submitter in problem


def test_a_campaign_without_a_system_is_told_how_to_describe_one(planner: Planner, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="mlperf-docker system init"):
        created(finished(planner, system=""), tmp_path / "tree")


def test_an_older_round_has_trees_of_its_own_for_settings_and_tests(planner: Planner, tmp_path: Path) -> None:
    created(finished(planner, "- model: rnnt", round="v4.0"), tmp_path / "tree")
    root = tmp_path / "tree/closed/Acme"
    assert names(root) == {"results", "measurements", "compliance", "systems", "code", "documentation"}
    assert names(root / "measurements/box/rnnt/Offline") == {"box.json", "README.md", "user.conf", "mlperf.conf"}
    assert "*.Offline.qsl_rng_seed = " in (root / "measurements/box/rnnt/Offline/mlperf.conf").read_text()
    assert names(root / "compliance/box/rnnt/Offline") == {"TEST01", "TEST05"}


@pytest.mark.parametrize(("model", "version", "suite"), [
    ("resnet50", "v6.1", "edge"), ("bert", "v6.1", "edge"), ("3d-unet", "v6.1", "datacenter"),
    ("retinanet", "v5.1", "datacenter"), ("rnnt", "v4.0", "edge"),
])  # fmt: skip
def test_a_created_tree_passes_our_own_check(
    model: str, version: str, suite: str, planner: Planner, tmp_path: Path
) -> None:
    created(finished(planner, f"- model: {model}", round=version, suite=suite), tmp_path / "tree")
    verdict = checking.check(tmp_path / "tree", loading.load(), version)
    assert [str(each) for each in verdict.findings] == []


def test_a_synthetic_tree_passes_our_own_check_on_request_alone(trees: Trees, tmp_path: Path) -> None:
    plan = finished(Planner(trees.logs, tmp_path, synthetic=True))
    created(plan, tmp_path / "tree", allow_synthetic=True)
    refused_, taken = (
        checking.check(tmp_path / "tree", loading.load(), "v6.1", allow_synthetic=allowed) for allowed in (False, True)
    )
    assert refused_.errors
    assert not taken.errors


def test_a_problem_of_a_run_that_fills_several_entries_is_told_once(trees: Trees, tmp_path: Path) -> None:
    plan = finished(Planner(trees.logs, tmp_path, synthetic=True), "- {model: resnet50, scenarios: [SingleStream]}")
    (run,) = (each.result for each in plan.runs if each.kind is Mode.PERFORMANCE)
    assert run is not None
    (Path(run.results_dir) / layout.USER_CONF).unlink()
    assert len(refused(plan, tmp_path / "tree", infer=True)) == len(plan.runs) + 1


def test_a_description_that_does_not_fit_the_round_is_no_part_of_a_tree(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner)
    path = tmp_path / "box.yaml"
    path.write_text(path.read_text().replace("status: 'available'", "status: ''").replace("'edge'", "'datacenter'"))
    empty, other = refused(plan, tmp_path / "tree")
    assert "status is empty" in empty
    assert "system_type is datacenter, and the campaign is for edge" in other


def test_runs_that_do_not_count_for_the_round_are_told_and_make_a_tree(planner: Planner, tmp_path: Path) -> None:
    short, few = "the minimum duration is 2 s, not 600 s", "64 of 1024 samples"

    def judged(why: str) -> Callable[[PlannedRun], PlannedRun]:
        verdict = {"name": "v6.1", "benchmarks": [], "counts": False, "why": [why]}

        def change(run: PlannedRun) -> PlannedRun:
            assert run.result is not None
            return replace(
                run, result=run.result.model_validate({**run.result.model_dump(mode="json"), "round": verdict})
            )

        return change

    plan = changed(changed(finished(planner), SLOT, judged(short)), "resnet MultiStream performance", judged(few))
    (note,) = (each for each in created(plan, tmp_path / "tree").notes if "do not count" in each)
    assert note == f"2 of 12 runs do not count for v6.1: {few}; {short}."


REFERENCE = "- {model: resnet50, harness: reference}"
COMMIT = f"the reference implementation, https://github.com/mlcommons/inference at commit {HARNESS['commit']}"


def test_a_tree_of_the_reference_says_so_wherever_a_reader_looks(planner: Planner, tmp_path: Path) -> None:
    plan = finished(planner, REFERENCE, division="open")
    for run in plan.runs:
        assert run.result
        words = ("mlperf-docker", "run", "resnet50", "--harness=reference", "--reference=/home/me/inference")
        record = RequestOnRecord(
            command=words,
            source="0",
            options={},
            dataset=None,
            model_file=None,
            user_conf=None,
            limits={},
            profile=None,
        )
        store.write(run.result.model_copy(update={"request": record}), Path(run.result.results_dir))
    again = [replace(run, result=store.read(Path(run.result.results_dir))) for run in plan.runs if run.result]
    tree = created(replace(plan, runs=tuple(again)), tmp_path / "tree")
    organisation = tree.entries[0].place.organisation
    for entry in tree.entries:
        folder = tmp_path / "tree" / entry.place.measurements
        assert json.loads((folder / "measurements.json").read_text())["implementation"] == COMMIT
        readme = (folder / "README.md").read_text()
        assert f"| Implementation | {COMMIT} |" in readme
        assert "--harness=reference --reference=REFERENCE" in readme
        assert "REFERENCE is a checkout of" in readme
    source = tmp_path / "tree" / organisation.source / "resnet" / "box"
    assert COMMIT in (source / "README.md").read_text()
    script = (source / "repeat.sh").read_text()
    assert (
        f"# REFERENCE is a checkout of https://github.com/mlcommons/inference at commit {HARNESS['commit']}." in script
    )
    assert '--reference="$REFERENCE"' in script
    system = json.loads((tmp_path / "tree" / organisation.system("box")).read_text())
    assert f"reference implementation of MLPerf Inference, commit {HARNESS['commit']}" in system["other_software_stack"]
    written = "".join(each.read_text() for each in source.rglob("*") if each.is_file())
    assert "/home/me" not in written
    verdict = checking.check(tmp_path / "tree", loading.load(), "v6.1")
    assert [str(each) for each in verdict.errors] == []


def test_the_reference_makes_no_closed_tree_as_it_has_no_compliance_tests(planner: Planner, tmp_path: Path) -> None:
    told = refused(finished(planner, REFERENCE), tmp_path / "tree")
    assert told == [
        f"resnet {scenario}: the closed division asks for compliance tests, which no reference implementation has:"
        " TEST01, TEST04"
        for scenario in ("SingleStream", "MultiStream", "Offline")
    ]


def test_an_entry_of_two_harnesses_is_refused_with_one_problem(planner: Planner, tmp_path: Path) -> None:
    def of_reference(run: PlannedRun) -> PlannedRun:
        assert run.result
        return replace(run, result=run.result.model_copy(update={"harness": HarnessUsed.model_validate(HARNESS)}))

    plan = changed(finished(planner, division="open"), SLOT, of_reference)
    (told,) = refused(plan, tmp_path / "tree")
    assert told.startswith("resnet Offline: its runs are of several harnesses (accuracy: mlperf-docker's own harness;")
    assert f"performance: {COMMIT}" in told


def test_files_of_a_reference_that_only_this_host_has_are_said(planner: Planner, tmp_path: Path) -> None:
    def changed_locally(run: PlannedRun) -> PlannedRun:
        assert run.result
        harness = HarnessUsed.model_validate({**HARNESS, "changed": True, "content": "sha256:abc"})
        return replace(run, result=run.result.model_copy(update={"harness": harness}))

    plan = finished(planner, REFERENCE, division="open")
    plan = replace(plan, runs=tuple(map(changed_locally, plan.runs)))
    (note,) = [each for each in created(plan, tmp_path / "tree").notes if "Only this host" in each]
    assert "with other files than the commit's (sha256:abc)" in note
