"""Creation of a tree from the finished runs of a campaign."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.campaigns import execution, turns
from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.plan import CampaignPlan, planner
from mlperf_docker.catalog.spec import ModelSpec
from mlperf_docker.display import printable, shell
from mlperf_docker.display.progress import Display
from mlperf_docker.images.sources import Sources
from mlperf_docker.results.values import RunResult
from mlperf_docker.submission import contents, implementation, layout, writing
from mlperf_docker.submission.contents import TreePlan
from mlperf_docker.submission.entries import EntryRuns
from mlperf_docker.submission.image_records import ImageRecord
from mlperf_docker.submission.problems import SubmissionError, SubmissionProblem
from mlperf_docker.submission.selection import Selection
from mlperf_docker.systems import checking, description
from mlperf_docker.systems.description import System
from mlperf_docker.systems.software import software_of

_LONGEST_SHOWN = 100


@dataclass(frozen=True)
class Choices:
    """Choices of `submission create`."""

    infer: bool = False
    """Whether entries that were not measured are inferred where the rules allow it."""
    allow_synthetic: bool = False
    """Whether results on synthetic data are taken; the tree is marked then."""


@dataclass(frozen=True)
class CreatedTree:
    """Tree that was written."""

    target: Path
    full_logs: Path | None
    """Folder with the whole of the accuracy logs that it shortens; None if it shortens none."""
    entries: tuple[EntryRuns, ...]
    notes: tuple[str, ...]
    """What its maker should know."""

    @property
    def check_command(self) -> str:
        """The command that checks it."""
        allowed = ("--allow-synthetic",) if any(each.synthetic for each in self.entries) else ()
        return shell.join(("mlperf-docker", "submission", "check", str(self.target), *allowed))

    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "tree": str(self.target),
            "full_logs": str(self.full_logs) if self.full_logs else None,
            "entries": [
                {
                    "benchmark": each.place.benchmark,
                    "scenario": each.place.scenario,
                    "inferred_from": each.inferred_from,
                    "runs": {kind: run.name for kind, run in each.by_kind.items()},
                }
                for each in self.entries
            ],
            "notes": list(self.notes),
        }


def finished_plan(campaign: Campaign, sources: Sources, display: Display, *, do_runs: bool) -> CampaignPlan:
    """Return the plan of *campaign*. do_runs: whether what is not finished is run first.

    What a run fails with is said and keeps no other from running; it is missing in the plan then.
    """
    if not do_runs:
        return planner(campaign, sources, display).plan()
    with turns.alone(campaign.results, display.say):
        made = planner(campaign, sources, display)
        return execution.execute(made.plan, execution.ThisHost(), display).plan


def create(
    plan: CampaignPlan,
    target: Path,
    choices: Choices,
    models: Iterable[ModelSpec],
    images: Callable[[Iterable[EntryRuns]], dict[str, ImageRecord]],
) -> CreatedTree:
    """Write the tree of *plan* to *target*, a place that `writing.place` found free.

    models: all that the catalog has. images: records of the images that the entries' runs used, by their tags.
    Raises SubmissionError with all problems; then nothing is written.
    """
    entries, system = _selected(plan, choices)
    tree = TreePlan(
        round=plan.campaign.round,
        organisation=entries[0].place.organisation,
        system=system.name,
        description=_description(plan.campaign, system, entries),
        entries=entries,
        images=images(entries),
        models=tuple(models),
    )
    writing.write(contents.files(tree), target)
    logs = writing.full_logs(target)
    return CreatedTree(target, logs if logs.exists() else None, entries, (*plan.notes, *_notes(tree)))


def _selected(plan: CampaignPlan, choices: Choices) -> tuple[tuple[EntryRuns, ...], System]:
    """Return entries and system. Raises SubmissionError."""
    campaign = plan.campaign
    system = description.load(campaign.system) if campaign.system else None
    name = system.name if system else "SYSTEM"
    selection = Selection(plan, name, infer=choices.infer, allow_synthetic=choices.allow_synthetic)
    entries = selection.entries()
    problems = [*_of_name("submitter", campaign.submitter), *_of_system(campaign, system), *selection.problems]
    if problems or system is None:
        raise SubmissionError(f"The campaign {campaign.path} makes no tree:", problems, hint=_next(campaign))
    return entries, system


def _of_system(campaign: Campaign, system: System | None) -> Iterator[SubmissionProblem]:
    """Yield what is wrong with the description of the system."""
    if system is None:
        fix = f"Write one: mlperf-docker system init --to system.yaml, and `system: system.yaml` in {campaign.path}"
        yield SubmissionProblem(str(campaign.path), "it names no description of the system", fix)
        return
    see = f"See: {shell.join(('mlperf-docker', 'system', 'check', str(system.path), '--round', campaign.round.name))}"
    for problem in checking.check(system, campaign.round).problems:
        yield SubmissionProblem(str(system.path), problem, see)
    of = system.values.get("system_type", "")
    if of and {*of.split(",")} != {*campaign.suite.split(",")}:
        what = f"system_type is {of}, and the campaign is for {campaign.suite}"
        yield SubmissionProblem(str(system.path), what, f"Correct it, or `suite` in {campaign.path}.")


def _of_name(kind: str, name: str) -> Iterator[SubmissionProblem]:
    """Yield the *name* if it cannot be that of a folder."""
    if not description.is_name(name):
        what = f"the name {printable.shortened(name, _LONGEST_SHOWN)!r} cannot be that of a folder"
        yield SubmissionProblem(kind, what, "Take letters, digits, dots, hyphens and underscores, no blanks.")


def _next(campaign: Campaign) -> str:
    return f"See the state of all runs: {shell.join(('mlperf-docker', 'campaign', 'plan', str(campaign.path)))}"


def _runs(entries: tuple[EntryRuns, ...]) -> list[RunResult]:
    """All runs of *entries*, each once."""
    return list({run.name: run for entry in entries for run in entry.runs}.values())


def _description(campaign: Campaign, system: System, entries: tuple[EntryRuns, ...]) -> dict[str, str]:
    made = system.json(campaign.division, campaign.submitter, software_of(_runs(entries)))
    if any(each.synthetic for each in entries):
        marked = f"{layout.SYNTHETIC}: made on synthetic data and weights"
        made["sw_notes"] = "; ".join(part for part in (marked, made.get("sw_notes")) if part)
    return made


def _notes(tree: TreePlan) -> Iterable[str]:
    if tree.synthetic:
        yield f"The data are synthetic: the tree is marked {layout.SYNTHETIC} and is no submission."
    for entry in tree.entries:
        if entry.inferred_from:
            yield f"{entry.place.benchmark} {entry.place.scenario}: inferred from {entry.inferred_from}."
    yield from _of_checkouts(tree)
    yield from _of_round(tree)
    used = {run.image.tag for run in _runs(tree.entries) if run.image is not None}
    for tag in sorted(used):
        record = tree.images.get(tag)
        if record is None or not record.files:
            yield f"{tag} is not on this engine: the tree has no Dockerfile, locks and bill of materials of it."
    if "datacenter" in tree.description.get("system_type", ""):
        path = tree.organisation.documentation / "bandwidth.adoc"
        yield f"The rules want {path} of datacenter systems: how data gets to the system, and at what rate."


def _of_checkouts(tree: TreePlan) -> Iterator[str]:
    """Yield what of a reference implementation nobody else has."""
    for harness in dict.fromkeys(implementation.text(run.harness) for run in _runs(tree.entries) if _is_own(run)):
        yield f"Only this host has what ran: {harness}."


def _is_own(run: RunResult) -> bool:
    """Whether a run is of a reference implementation whose files are not those of a commit."""
    return run.harness is not None and run.harness.changed is not False


def _of_round(tree: TreePlan) -> Iterator[str]:
    """Yield how many runs do not count for the round, as their results have it, and all that is in the way."""
    runs = _runs(tree.entries)
    judged = [run.round for run in runs if run.round is not None and run.round.name == tree.round.name]
    out = [each for each in judged if not each.counts]
    if out:
        why = dict.fromkeys(reason for each in out for reason in each.why)
        yield f"{len(out)} of {len(runs)} runs do not count for {tree.round.name}: {'; '.join(why)}."
