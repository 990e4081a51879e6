"""`run`: request checked, inputs located, image provided, container run, result written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlperf_docker.catalog.selector import UnknownNameError
from mlperf_docker.contract import compliance, json_values, places
from mlperf_docker.contract.commands import RunCommand
from mlperf_docker.contract.options import refusals
from mlperf_docker.contract.result import RunReply
from mlperf_docker.contract.words import Mode, SyntheticSize
from mlperf_docker.display import shell
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import links
from mlperf_docker.engine.plan import BindMount
from mlperf_docker.errors import UsageError
from mlperf_docker.host.energy import Energy, Meter
from mlperf_docker.inputs.datasets import location
from mlperf_docker.inputs.models import official_files
from mlperf_docker.recipe.reference_layer import reference_of
from mlperf_docker.reference.checkout import ReferenceCheckout, require_unchanged
from mlperf_docker.reference_contract import places as reference_places
from mlperf_docker.reference_contract.commands import HARNESS, ReferenceRunCommand, refused
from mlperf_docker.results import store, values
from mlperf_docker.rounds import judging, loading
from mlperf_docker.rounds.options import for_round
from mlperf_docker.runs import references
from mlperf_docker.runs.job import HarnessJob, Performed, cache_mount, perform, runtime_for
from mlperf_docker.runs.metering import PhaseMeter
from mlperf_docker.runs.on_record import on_record
from mlperf_docker.runs.references import References
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.runtimes.choice import runtime_of
from mlperf_docker.runtimes.runtime import Runtime
from mlperf_docker.system import paths, small_file
from mlperf_docker.systems.runs_on import ContainerHost

_LARGEST_USER_CONF = 64 << 10

_FIRST_LOOKS = 3
FIRST_RUN_S = 5.0
"""Of a run whose data are made up as there are none, unless the user says: long enough to be VALID, no use for more."""


@dataclass(frozen=True)
class PreparedRun:
    """Run whose request is checked and whose inputs are located; what is left is an image, a folder and a container."""

    request: RunRequest
    inputs: "RunInputs"
    record: values.RequestOnRecord

    def job(self, folder: Path) -> HarnessJob[RunReply]:
        """Return the harness's job that writes to *folder*."""
        return _job(self.request, self.inputs, folder)


def run(request: RunRequest, display: Display) -> values.RunResult:
    """Run *request* and return its result. Everything that can be wrong is looked at before anything is built.

    A run on data that were made up for want of others is a first look, and its length an estimate: it has three tries.
    """
    checked = _checked(request, display.say)
    runtime = runtime_for(checked.spec, checked.sources, checked.limits)
    prepared = _prepared(checked, display)
    result = _measure(runtime, prepared, display)
    first_look = checked.options.synthetic is not None and request.options.synthetic is None
    for _ in range(_FIRST_LOOKS - 1):
        if result.valid or not first_look or checked.options.mode is not Mode.PERFORMANCE:
            break
        display.say(f"INVALID: {'; '.join(result.reasons)} Once more.")
        result = _measure(runtime, prepared, display)
    return result


def prepare(request: RunRequest, display: Display) -> PreparedRun:
    """Return *request* checked and with its inputs, for a container that anybody may run. Raises what is wrong."""
    return _prepared(_checked(request, display.say), display)


def complete(
    prepared: PreparedRun, folder: Path, performed: Performed[RunReply], host: ContainerHost, energy: Energy | None
) -> values.RunResult:
    """Write the result of a run whose container has ended to *folder*, and return it. energy: of this host."""
    host_side = {
        "image": performed.image,
        "harness": harness_used(prepared.request),
        "runtime": performed.runtime,
        "request": prepared.record,
        "results_dir": str(folder),
        "duration_s": performed.duration_s,
        "host": json_values.fields(host.facts),
        "energy": json_values.fields(energy) if energy and host.is_here else None,
    }
    reply, runs = json_values.fields(performed.reply), prepared.inputs.references
    if runs and reply["compliance"]:
        reply["compliance"] |= runs.names
    found = values.RunResult.model_validate({**reply, **host_side})
    verdict = judging.judge(found, prepared.request.round or loading.load().newest)
    result = found.model_copy(update={"round": verdict})
    store.write(result, folder)
    return result


def harness_used(request: RunRequest) -> dict[str, Any] | None:
    """The harness of another than ours, for the result."""
    checkout = request.checkout
    if checkout is None:
        return None
    code = {"commit": checkout.code.commit, "changed": checkout.code.changed} if checkout.code else None
    told = {"commit": checkout.commit, "changed": checkout.changed, "content": checkout.content, "code": code}
    return {"name": HARNESS, **told}


def _measure(runtime: Runtime, prepared: PreparedRun, display: Display) -> values.RunResult:
    """Run the container once and write its result. The host's facts are read after the run, which waits for nothing."""
    with store.claim(prepared.request.root, prepared.request.title, display.say) as folder:
        with PhaseMeter(Meter()) as meter:
            performed = perform(runtime, prepared.job(folder), display, folder / store.LOG_FILE, meter)
        return complete(prepared, folder, performed, runtime.host(), meter.energy)


def _prepared(checked: RunRequest, display: Display) -> PreparedRun:
    if checked.checkout is not None:
        require_unchanged(checked.checkout, reference_of(checked.spec)[0], checked.spec.backend)
    return PreparedRun(checked, _inputs(checked, display.say), on_record(checked, display))


def dry_run(request: RunRequest, say: Callable[[str], None]) -> str:
    """Return the command that `run` would be equal to, writing to the results folder itself."""
    request = _checked(request, say)
    inputs = _inputs(request, say)
    store.check_writable(request.root)
    job, runtime = _job(request, inputs, request.root), runtime_of(request.sources.runtime)
    return shell.join(runtime.argv(job.plan(runtime.foreseen(job.recipe, job.sources), runtime.user())))


def _checked(request: RunRequest, say: Callable[[str], None]) -> RunRequest:
    """Return *request* with its data settled. Raises UsageError where its options contradict each other."""
    check(request)
    return _with_round(_with_profile(with_data(request, say), say), say)


def check(request: RunRequest) -> None:
    """Raise UsageError where the options of *request* contradict each other, or are none of its cell."""
    spec, options = request.spec, request.options
    if options.precision not in spec.precisions:
        raise UnknownNameError(f"precision of {spec}", options.precision, spec.precisions)
    if options.scenario not in spec.model.scenarios:
        raise UnknownNameError(f"scenario of {spec.model.name}", options.scenario, spec.model.scenarios)
    request.limits.check()
    told = [f"{each}." for each in (*refusals(options), *options.contradictions(), *_refused_by_reference(request))]
    if told:
        raise UsageError("\n       ".join(told))
    tests = spec.model.compliance.tests if spec.model.compliance else ()
    problem = compliance.problem(options, spec.model.name, tests, user_conf=request.user_conf is not None)
    if problem:
        raise UsageError(problem.message, hint=problem.hint)
    if options.synthetic is not None and (request.dataset is not None or request.require_dataset):
        given = "--dataset" if request.dataset is not None else "--require-dataset"
        raise UsageError(f"{given} and --synthetic exclude each other: synthetic runs make their own data.")
    if options.synthetic is not None and request.model_file is not None:
        raise UsageError("--model-file and --synthetic exclude each other: synthetic runs make their own weights.")


def _refused_by_reference(request: RunRequest) -> Iterator[str]:
    """Why the reference implementation cannot take the options, if it is to run."""
    reference = request.spec.model.reference
    if request.checkout is not None and reference is not None:
        yield from refused(request.options, reference.on(request.spec.backend).precisions)
        if request.profile is not None:
            yield "a profile is tuned for our own harness: leave out --profile, or --harness reference"


def _with_round(request: RunRequest, say: Callable[[str], None]) -> RunRequest:
    """Return *request* with the settings of its round, if it has one, after saying what keeps it from counting."""
    model, options, round_ = request.spec.model.name, request.options, request.round
    if round_ is None:
        return request
    foreseen = judging.foresee(model, options, round_)
    if not foreseen.counts:
        say(f"Warning: this run cannot count for {round_.name}: {'; '.join(foreseen.why)}.")
    return replace(request, options=for_round(options, model, round_))


def _with_profile(request: RunRequest, say: Callable[[str], None]) -> RunRequest:
    """Return *request* with the values of its profile, if it has one."""
    if request.profile is None:
        return request
    return replace(request, options=request.profile.applied(request.spec, request.options, request.limits, say))


def with_data(request: RunRequest, say: Callable[[str], None]) -> RunRequest:
    """Return *request* with a data set: the user's, else what lies in its place, else, said aloud, one that is made up.

    What lies there is taken for the data set, also where it is damaged; a model file of the user's own and a run for a
    round want one. Where data are made up, a base that no registry gives may be, too: a first look should need nothing
    but the command.
    """
    dataset, options = request.spec.model.dataset, request.options
    if request.dataset is not None or options.synthetic is not None:
        return request
    place = location.place(dataset)
    wanted = request.require_dataset or request.model_file is not None or request.round is not None
    if wanted or location.is_there(place):
        return replace(request, dataset=place)
    # A user.conf may say how long, or the performance run of a compliance test, and an option would clash with it.
    said = request.user_conf is not None or options.compliance is not None
    seconds = options.min_duration_s or (None if said else FIRST_RUN_S)
    how_long = f" for {seconds:g} s" if seconds and options.mode is Mode.PERFORMANCE else ""
    say(
        f"Warning: no {dataset.title} at {place}: running on made-up data, --synthetic tiny{how_long}; not an MLPerf"
        f" result. Fetch it: mlperf-docker data fetch {dataset.name}. To fail instead: --require-dataset"
    )
    made_up = replace(options, synthetic=SyntheticSize.TINY, min_duration_s=seconds)
    return replace(request, options=made_up, sources=replace(request.sources, bootstrap=True))


@dataclass(frozen=True)
class RunInputs:
    """Mounts of a run, each folder checked to exist, and the command that names the files in them."""

    mounts: tuple[BindMount, ...]
    command: RunCommand
    references: References | None = None


def _inputs(request: RunRequest, say: Callable[[str], None]) -> RunInputs:
    conf = _user_conf(request.user_conf)
    found = _data_inputs(request, say)
    user_conf = Path(places.USER_CONF) if conf else None
    runs = references.of_request(request)
    command = replace(found.command, user_conf=user_conf, **_folders_of(runs))
    mounts = (*found.mounts, *conf, *(runs.mounts if runs else ()))
    if request.checkout is None:
        return RunInputs(mounts, command, runs)
    return RunInputs((*mounts, *_code_mounts(request.checkout)), ReferenceRunCommand(**vars(command)), runs)


def _code_mounts(checkout: ReferenceCheckout) -> Iterator[BindMount]:
    """The mounts of a reference's code."""
    yield BindMount(checkout.folder, reference_places.CHECKOUT, read_only=True)
    if checkout.code:
        yield BindMount(checkout.code.folder, reference_places.CODE, read_only=True)


def _folders_of(runs: References | None) -> dict[str, Any]:
    """The options of the harness that name the folders of earlier runs."""
    if runs is None:
        return {}
    accuracy = {"accuracy_run": Path(places.ACCURACY_RUN)} if runs.accuracy else {}
    return {"performance_run": Path(places.PERFORMANCE_RUN), **accuracy}


def _data_inputs(request: RunRequest, say: Callable[[str], None]) -> RunInputs:
    cache, command = cache_mount(), RunCommand(**vars(request.options))
    if request.dataset is None:
        return RunInputs((cache,), command)
    data = links.folder(location.check_folder(request.spec.model.dataset, request.dataset), places.DATA)
    for note in data.notes:
        say(note)
    file = official_files.locate(request.spec, request.options.precision, request.model_file)
    model = links.file(file, places.MODELS)
    command = replace(command, data=Path(data.path), model_file=Path(model.path))
    return RunInputs((*data.mounts, *model.mounts, cache), command)


def _user_conf(file: Path | None) -> tuple[BindMount, ...]:
    """Return the mount of the user's user.conf, if any. Raises UsageError for what is no small file."""
    if file is None:
        return ()
    try:
        small_file.read(file, _LARGEST_USER_CONF)
    except (small_file.UnfitError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"--user-conf {file} cannot be read: {reason}.", hint="Name a user.conf of LoadGen's."
        ) from error
    return (BindMount(paths.resolved(file), places.USER_CONF, read_only=True, shown=file),)


def _job(request: RunRequest, inputs: RunInputs, folder: Path) -> HarnessJob[RunReply]:
    return HarnessJob(
        recipe=request.recipe,
        sources=request.sources,
        command=inputs.command,
        mounts=(*inputs.mounts, BindMount(folder, places.RESULTS, read_only=False)),
        limits=request.limits,
    )
