"""Limits of the machine (memory, threads), checked against a run's demand before the test."""

from pathlib import Path

from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.harness.api.errors import DeviceMemoryError, HarnessError, SampleError, UsageError
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import F, Payload, S, Samples
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.loadgen.settings import Generated
from mlperf_docker.harness.system.resources import free_memory, free_threads

OFFLINE_SAMPLE_BYTES, OFFLINE_BATCH_BYTES = 180, 200
"""What LoadGen and the harness keep of each sample and batch of an Offline query; measured, as are those below."""
QUERY_BYTES, STREAM_SAMPLE_BYTES = 320, 80
"""Of each query that LoadGen prepares, at least; and of each sample in one of several."""
RESPONSE_BYTES = 150
"""Of each place in a batch: the response object that LoadGen is given."""
THREADS_BESIDE = 3
"""Threads of an instance beside its operators': its own, and those that gather and finish batches."""


def check_threads(options: LoadgenRun, threads: int) -> None:
    """Raise UsageError if the instances' threads are more than the system lets this process start."""
    needed, free = options.copies * (threads + THREADS_BESIDE), free_threads()
    if needed > free:
        raise UsageError(
            f"{options.copies} instances of {threads} operator threads need {needed} threads; {free} can be started",
            hint="Use fewer --instances or --threads-per-instance: more than there are processors gain nothing.",
        )


def check_instances(options: LoadgenRun, model: Model[F, S]) -> None:
    """Raise UsageError if the weights of the second instance on the CPU, and those after it, do not fit into memory."""
    more = 0 if options.cell.device.profile.is_accelerator else options.copies - 1
    _require(more * _weights_bytes(model), f"the weights of {more} more instances need", "Use fewer --instances.")


def check_batch(options: LoadgenRun, model: Model[F, S], samples: S, payload: Payload) -> None:
    """Raise UsageError if the inputs and answers of batches of --batch-size do not fit into memory."""
    size = options.batch_size
    if size is None or options.scenario not in (Scenario.OFFLINE, Scenario.SERVER):
        return
    inputs = model.splitting.batch_bytes(samples) if model.splitting else _sample_bytes(samples)
    answer = payload.bytes + RESPONSE_BYTES
    _require(
        size * (inputs + options.copies * answer),
        f"a batch of {size}, with its answers, needs",
        "Use a smaller --batch-size, or none: then the best of the usual ones is measured.",
    )


def check_queries(options: LoadgenRun, generated: Generated, batch: int) -> None:
    """Raise UsageError if the queries that LoadGen prepares before a performance test do not fit into memory."""
    if options.mode is not Mode.PERFORMANCE:
        return
    if options.scenario is Scenario.OFFLINE:
        needed = generated.samples * (OFFLINE_SAMPLE_BYTES + OFFLINE_BATCH_BYTES / batch)
        what = f"a query of {generated.samples:.4g} samples needs"
    else:
        each = max(QUERY_BYTES, STREAM_SAMPLE_BYTES * generated.samples_per_query)
        needed, what = generated.queries * each, f"the {generated.queries:.4g} queries of this run need"
    rate = " or --target-qps" if options.scenario in (Scenario.OFFLINE, Scenario.SERVER) else ""
    _require(needed, what, f"Use a smaller --min-duration{rate}: LoadGen prepares all queries before a test.")


def check_loaded(samples: Samples, count: int) -> None:
    """Raise UsageError if the *count* samples that LoadGen has loaded at a time do not fit into memory."""
    share = 1.0
    if samples.joined is Joined.CONCATENATED and samples.lengths is not None:
        share = float(samples.lengths.mean() / samples.lengths.max())
    _require(
        count * _sample_bytes(samples) * share,
        f"the {count} samples that are loaded at a time need",
        "Use fewer --samples, or a smaller performance_sample_count_override in user.conf.",
    )


def failure(options: LoadgenRun, error: BaseException) -> HarnessError:
    """What a failure on a sample means for the user."""
    is_host = not options.cell.device.profile.is_accelerator
    if isinstance(error, MemoryError) or (isinstance(error, DeviceMemoryError) and is_host):
        hint = "Use a smaller --batch-size, or fewer --instances."
        return UsageError(f"memory ran out: {error}; {gigabytes(free_memory())} are free", hint=hint)
    if isinstance(error, HarnessError):
        return error
    return SampleError(f"the backend failed on a sample: {error}")


def gigabytes(count: float) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.4g} GB"


def _require(needed: float, what: str, hint: str) -> None:
    free = free_memory()
    if needed > free:
        raise UsageError(f"{what} {gigabytes(needed)} of memory; {gigabytes(free)} are free", hint=hint)


def _sample_bytes(samples: Samples) -> int:
    """Bytes of the largest sample."""
    largest = 0 if samples.lengths is None else int(samples.lengths.argmax())
    return sum(array.nbytes for array in samples.load([largest]))


def _weights_bytes(model: Model[F, S]) -> int:
    """Bytes of a model's weights, each of them once, as far as its file or its networks tell."""
    sources = [part.source for part in model.parts]
    arrays = {
        id(array): array.nbytes for each in sources if isinstance(each, Network) for array in each.arrays.values()
    }
    files = {each: each.stat().st_size for each in sources if isinstance(each, Path) and each.is_file()}
    return sum(arrays.values()) + sum(files.values())
