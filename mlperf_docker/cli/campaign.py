"""`mlperf-docker campaign`: the runs that an entry into a round needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlperf_docker.cli.options import (
    JsonOutput,
    WhoseCode,
    user_path,
)
from mlperf_docker.cli.sources import GivenSources, taking_sources
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.display import streams
from mlperf_docker.errors import UsageError
from mlperf_docker.names import HarnessName
from mlperf_docker.system import strict_json

if TYPE_CHECKING:
    from mlperf_docker.campaigns.execution import Outcome
    from mlperf_docker.campaigns.plan import CampaignPlan, Planner
    from mlperf_docker.display.progress import Display

CampaignPath = Annotated[
    Path, typer.Argument(parser=user_path, metavar="[CAMPAIGN]", help="A campaign.yaml, or the folder that has one.")
]
HERE: Any = "."


def init(
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Models, such as resnet50.")],
    *,
    round_: Annotated[str, typer.Option("--round", metavar="ROUND", help="Such as v6.1. Default: the newest.")] = "",
    division: Annotated[str, typer.Option(help="closed or open.")] = "closed",
    suite: Annotated[str, typer.Option(help="edge or datacenter.")] = "edge",
    system: Annotated[
        Path | None,
        typer.Option(parser=user_path, metavar="FILE", help="The system's description, as `system init` writes it."),
    ] = None,
    submitter: Annotated[str, typer.Option(metavar="NAME", help="Your organisation.")] = "",
    synthetic: Annotated[
        str, typer.Option(metavar="SIZE", help="Synthetic data and weights: tiny or full. No entry may have them.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of all runs, as min_duration=600. Repeatable."),
    ] = None,
    harness: WhoseCode = HarnessName.OWN,
    reference: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="DIR",
            help="Your checkout of mlcommons/inference. Default: the one that MLPERF_INFERENCE names at each run.",
        ),
    ] = None,
    to: Annotated[Path, typer.Option(parser=user_path, metavar="FILE", help="The file.")] = "campaign.yaml",  # type: ignore[assignment]  # parsed
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a campaign.yaml for MODELs, with comments, and print its path."""
    from mlperf_docker.campaigns.frame import Frame
    from mlperf_docker.campaigns.writing import NewCampaign, write
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find, parse_choice
    from mlperf_docker.rounds import loading
    from mlperf_docker.rounds.words import Division, Suite

    catalog, rounds = Catalog.load(), loading.load()
    specs = [find(catalog, model) for model in dict.fromkeys(models)]
    found = rounds.find(round_) if round_ else rounds.newest
    frame = Frame(found, parse_choice("division", division, Division), parse_choice("suite", suite, Suite))
    options = ({"synthetic": synthetic} if synthetic else {}) | _settings(settings or [])
    if reference is not None and harness is HarnessName.OWN:
        raise UsageError("--reference is for the reference implementation.", hint="Give --harness reference, too.")
    new = NewCampaign(frame, specs, submitter or None, system, options, harness, reference)
    streams.out(write(new, to, force=force))


@taking_sources
def plan(
    campaign: CampaignPath = HERE,
    *,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Show every run: its state, what it waits for, and the time that it will take."""
    _show_plan(_plan(campaign, sources), as_json=as_json)


@taking_sources
def run(
    campaign: CampaignPath = HERE,
    *,
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop after a run that fails or does not count. Default: go on.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="Only this run, named as `campaign plan` does, after whatever else this campaign runs on this node."
            " Repeatable.",
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on", metavar="CLUSTER", help="Hand the runs to a cluster: slurm or kubernetes. Default: this host."
        ),
    ] = "",
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="With --on slurm: a long option of sbatch, as partition=gpu, over campaign.yaml. Repeatable.",
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="With --on slurm: wait until no job is left, and exit as a run here does. Pods are always waited for.",
        ),
    ] = False,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Do the runs that are not finished: accuracy first, compliance last. Interrupted, it goes on where it was."""
    if on:
        _on_cluster(campaign, sources, on, only or [], sbatch or [], wait=wait, stop=stop, as_json=as_json)
    elif sbatch or wait:
        raise UsageError(
            f"{'--sbatch' if sbatch else '--wait'} is for jobs of a cluster.", hint="Give --on slurm, too."
        )
    else:
        _here(campaign, sources, only, stop=stop, as_json=as_json)


def _here(campaign: Path, sources: GivenSources, only: list[str] | None, *, stop: bool, as_json: bool) -> None:
    from mlperf_docker.campaigns import execution, turns
    from mlperf_docker.campaigns.campaign import load
    from mlperf_docker.display.progress import display

    found = load(campaign)
    place = turns.in_turn if only else turns.alone
    with place(found.results, streams.err), display() as show:
        planner = _planner(campaign, show, sources)
        outcome = execution.execute(planner.plan, execution.ThisHost(), show, only=only, go_on=not stop)
    _show_outcome(outcome, only, as_json=as_json)


def _on_cluster(
    campaign: Path,
    sources: GivenSources,
    on: str,
    only: list[str],
    sbatch: list[str],
    *,
    wait: bool,
    stop: bool,
    as_json: bool,
) -> None:
    from mlperf_docker.catalog.selector import parse_choice
    from mlperf_docker.cli import on_slurm
    from mlperf_docker.display.progress import display
    from mlperf_docker.names import ClusterName

    if parse_choice("cluster", on, ClusterName) is ClusterName.KUBERNETES:
        if sbatch:
            raise UsageError("--sbatch is for jobs of Slurm.", hint="Give --on slurm.")
        _in_pods(campaign, sources, only or None, stop=stop, as_json=as_json)
        return
    if stop:
        raise UsageError("--stop is for runs on this host: a queue takes all of them at once.")
    settings = on_slurm.settings(sbatch)
    with display() as show:
        planner = _planner(campaign, show, sources)
        done = on_slurm.submit(planner, only, settings, sources, show, wait=wait)
    _show_plan(done, as_json=as_json)
    if wait and not done.complete:
        raise typer.Exit(ExitCode.INVALID)


def _in_pods(campaign: Path, sources: GivenSources, only: list[str] | None, *, stop: bool, as_json: bool) -> None:
    from mlperf_docker.cli import on_kubernetes
    from mlperf_docker.display.progress import display

    with display() as show:
        planner = _planner(campaign, show, sources)
        outcome = on_kubernetes.run(planner, show, only, go_on=not stop)
    _show_outcome(outcome, only, as_json=as_json)


def _show_outcome(outcome: "Outcome", only: list[str] | None, *, as_json: bool) -> None:
    """Show what came of the runs. Raises Exit where they are not all finished."""
    done = outcome.plan.only(only)
    _show_plan(done, as_json=as_json)
    _tell_errors(outcome)
    if not done.complete:
        raise typer.Exit(ExitCode.INVALID)


@taking_sources
def pin(campaign: CampaignPath = HERE, *, sources: GivenSources) -> None:
    """Write into campaign.yaml which image the registry has for each cell, by digest, and print these.

    Every host then runs that image and no other, whatever the registry's tags name by then.
    """
    from mlperf_docker.campaigns import pinning
    from mlperf_docker.campaigns.campaign import load
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.display.progress import display

    with display() as show:
        images = pinning.pin(load(campaign), sources.of(Catalog.load()), show)
    streams.out("\n".join(images))


@taking_sources
def status(
    campaign: CampaignPath = HERE,
    *,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Show how far a campaign is: counts, the result of each slot of an entry, and the next command."""
    from mlperf_docker.campaigns.text import fields, status_text

    found = _plan(campaign, sources)
    streams.out(strict_json.dumps(fields(found)) if as_json else status_text(found, streams.columns()))


def cancel(campaign: CampaignPath = HERE) -> None:
    """Cancel the jobs that a campaign has in a cluster's queue, and its pods. What is finished stays."""
    from mlperf_docker.campaigns.campaign import load
    from mlperf_docker.cli import on_kubernetes, on_slurm
    from mlperf_docker.display.progress import display

    found = load(campaign)
    with display() as show:
        cancelled = on_slurm.cancel(found.path) + on_kubernetes.cancel(found, show)
    streams.out(f"{cancelled} {'job' if cancelled == 1 else 'jobs'} cancelled.")


@taking_sources
def export(
    campaign: CampaignPath = HERE,
    *,
    to: Annotated[str, typer.Option("--to", metavar="CLUSTER", help="kubernetes.")] = "kubernetes",
    output: Annotated[Path, typer.Option(parser=user_path, metavar="DIR", help="The folder of the files.")] = "jobs",  # type: ignore[assignment]  # parsed
    sources: GivenSources,
) -> None:
    """Write the runs that can begin as files for a cluster's own command, as kubectl, and print their paths."""
    from mlperf_docker.catalog.selector import parse_choice
    from mlperf_docker.cli import on_kubernetes
    from mlperf_docker.display.progress import display
    from mlperf_docker.names import ClusterName

    if parse_choice("cluster", to, ClusterName) is not ClusterName.KUBERNETES:
        raise UsageError(f"{to} takes no files.", hint="Submit the runs: mlperf-docker campaign run --on slurm")
    with display() as show:
        planner = _planner(campaign, show, sources)
        files = on_kubernetes.export(planner, output, show)
    for path in files:
        streams.out(path)


@taking_sources
def report(
    campaign: CampaignPath = HERE,
    *,
    sources: GivenSources,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=user_path, metavar="FILE", help="The HTML file. Default: report.html in the results folder."
        ),
    ] = None,
) -> None:
    """Write a campaign's results as one HTML file, its matrix first, and print the path."""
    from mlperf_docker.campaigns.matrix import matrix
    from mlperf_docker.report import page
    from mlperf_docker.results.store import read_all, require_some

    found = _plan(campaign, sources)
    results = found.campaign.results
    stored = read_all(results)
    for problem in stored.left_out:
        streams.err(f"Left out: {problem}")
    require_some(stored.results, results)
    streams.out(page.write(stored, page.check_place(output or results / page.FILE), [matrix(found)]))


def _plan(campaign: Path, sources: GivenSources) -> "CampaignPlan":
    from mlperf_docker.cli import on_kubernetes, on_slurm
    from mlperf_docker.display.progress import display

    with display() as show:
        return on_slurm.seen(on_kubernetes.seen(_planner(campaign, show, sources), show), show)


def _show_plan(plan: "CampaignPlan", *, as_json: bool) -> None:
    from mlperf_docker.campaigns.text import fields, plan_text

    streams.out(strict_json.dumps(fields(plan)) if as_json else plan_text(plan, streams.columns()))


def _planner(campaign: Path, show: "Display", sources: GivenSources) -> "Planner":
    from mlperf_docker.campaigns.campaign import load
    from mlperf_docker.campaigns.plan import planner
    from mlperf_docker.catalog.loading import Catalog

    return planner(load(campaign), sources.of(Catalog.load()), show)


def _tell_errors(outcome: "Outcome") -> None:
    for name, error in outcome.errors.items():
        streams.err(f"{name} failed: {error}")


def _settings(words: list[str]) -> dict[str, Any]:
    """Return the options that `--set NAME=VALUE` gives, as YAML has them. Raises UsageError."""
    import yaml

    found = {}
    for word in words:
        name, is_pair, value = word.partition("=")
        if not is_pair:
            raise UsageError(f"--set {word} has no value.", hint="Write it as NAME=VALUE: --set min_duration=600")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {word}: the value is not valid YAML.") from error
    return found
