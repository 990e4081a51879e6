"""LoadGen test: callbacks registered, progress watched, everything destroyed at the end."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import mlperf_loadgen as lg

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.loadgen.suts import SUTS
from mlperf_docker.harness.loadgen.worker import Responder, Tally
from mlperf_docker.harness.samples.library import Library

POLL_S = 0.25
PROGRESS_EVERY = 8
"""Looks between two reports: each one wakes the engine and the tool outside, on processors that are being measured."""

GRACE_S = 3.0
SERVER_SWITCH_INTERVAL_S = 0.0002
"""How long a thread that computes in Python keeps the issuing thread waiting; 5 ms, the default, would show in p50."""


@dataclass(frozen=True, slots=True)
class LoadGenTest:
    """Arguments of StartTest."""

    scenario: Scenario
    settings: lg.TestSettings
    outdir: Path
    """Existing folder for the logs."""
    library: Library
    responder: Responder
    trace: bool = False
    """Whether LoadGen writes mlperf_log_trace.json; without, the file is empty."""
    audit: Path | None = None
    """Settings of a compliance test, which LoadGen puts over *settings*; None for other runs."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks of the thread that watches a test: samples done, and a failure that LoadGen does not stop for."""

    progress: Callable[[int], None]
    stuck: Callable[[BaseException], None]


def version() -> str:
    """LoadGen's version, out of the distribution's metadata: the module does not tell."""
    from importlib.metadata import version as installed

    return installed("mlcommons-loadgen")


def run(test: LoadGenTest, watch: Watch) -> Tally:
    """Run the test; give what came of it. Raises the first failure of a callback or of a thread of the SUT's.

    LoadGen calls back on this thread. There is no way to stop it: if it goes on for more than GRACE_S after a failure,
    `watch.stuck` is called, which ends the process.
    """
    if not test.outdir.is_dir():
        raise SampleError(f"LoadGen's log folder {test.outdir} is not there")
    tally = Tally()
    sut = SUTS[test.scenario](test.responder, test.library, tally)
    finished = threading.Event()
    watcher = threading.Thread(target=_watch, args=(tally, watch, finished), daemon=True)
    watcher.start()
    try:
        with _quiet_interpreter(test.scenario):
            _start(test, sut.issue, sut.flush, tally)
    finally:
        finished.set()
        sut.close()
        watcher.join()
    failure = tally.failure
    if failure is not None:
        # What would end this process without a word, had it not been caught, is an error like others.
        raise failure if isinstance(failure, Exception) else SampleError(f"a thread was ended: {failure!r}")
    return tally


def _start(
    test: LoadGenTest, issue: Callable[[list[int], list[int]], None], flush: Callable[[], None], tally: Tally
) -> None:
    library = test.library
    load, unload = _guarded(library.load, tally), _guarded(library.unload, tally)
    count = test.settings.performance_sample_count_override
    handle = lg.ConstructFastSUT(issue, flush)
    qsl = lg.ConstructQSL(library.count, count, load, unload)
    try:
        # An empty name where there is none: a stray audit.config in the current folder would change the run.
        audit = str(test.audit) if test.audit else ""
        lg.StartTestWithLogSettings(handle, qsl, test.settings, _log_settings(test), audit)
    finally:
        lg.DestroyQSL(qsl)
        lg.DestroyFastSUT(handle)


def _guarded(action: Callable[[list[int]], None], tally: Tally) -> Callable[[list[int]], None]:
    def guarded(indices: list[int]) -> None:
        try:
            action(indices)
        except BaseException as error:  # noqa: BLE001 (nothing may pass into LoadGen)
            tally.fail(error)

    return guarded


def _log_settings(test: LoadGenTest) -> lg.LogSettings:
    output = lg.LogOutputSettings()
    output.outdir = str(test.outdir)
    output.copy_summary_to_stdout = False
    settings = lg.LogSettings()
    settings.log_output = output
    settings.enable_trace = test.trace
    return settings


def _watch(tally: Tally, watch: Watch, finished: threading.Event) -> None:
    looks = 0
    while not finished.wait(POLL_S):
        looks += 1
        if looks % PROGRESS_EVERY == 0:
            # Without a reader of the events the run fails at their next line; until then this thread is needed.
            with suppress(OSError, ValueError):
                watch.progress(tally.completed)
        if tally.failure is not None and not finished.wait(GRACE_S):
            watch.stuck(tally.failure)


@contextmanager
def _quiet_interpreter(scenario: Scenario) -> Iterator[None]:
    """No garbage collection during a test, and in Server quick changes between threads."""
    interval = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.disable()
    if scenario is Scenario.SERVER:
        sys.setswitchinterval(SERVER_SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.enable()
        gc.unfreeze()
