"""Transfers of many cells' images, several at a time; one failure does not stop the others."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

from mlperf_docker.display.progress import Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.engine.engine import Engine
from mlperf_docker.engine.transfer import LayerEvent, TransferListener
from mlperf_docker.errors import Interrupted, MlperfDockerError
from mlperf_docker.images import prebuilt
from mlperf_docker.images.lookup import candidates
from mlperf_docker.images.prebuilt import Moved
from mlperf_docker.images.progress import TransferProgress
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.identity import Identity
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.system import threads
from mlperf_docker.system.redaction import hidden


@dataclass(frozen=True)
class TransferredCell:
    """Outcome of one cell: its image, or the error."""

    cell: str
    """Name of its recipe."""
    seconds: float
    """Duration of the transfer."""
    moved: Moved | None = None
    error: MlperfDockerError | None = None

    def fields(self) -> dict[str, Any]:
        """The outcome for programs. bytes: compressed, of the layers that were downloaded; null for a push."""
        moved = self.moved
        return {
            "cell": self.cell,
            "state": moved.state if moved else "failed",
            "image": moved.candidate.exact if moved else None,
            "moving": moved.candidate.moving if moved else None,
            "digest": moved.digest if moved else None,
            "id": moved.id if moved else None,
            "bytes": moved.size_bytes if moved else None,
            "seconds": round(self.seconds, 3),
            "error": hidden(str(self.error)) if self.error else None,
        }


class SeveralFailedError(MlperfDockerError):
    """More than one cell failed. The exit code is the first one's."""

    def __init__(self, done: str, failed: Sequence[TransferredCell], count: int) -> None:
        errors = {each.cell: each.error for each in failed if each.error is not None}
        first = next(iter(errors.values()))
        lines = (f"  {cell}: {str(error).splitlines()[0]}" for cell, error in errors.items())
        super().__init__(f"{len(errors)} of {count} images were not {done}:\n" + "\n".join(lines), hint=first.hint)
        self.exit_code = first.exit_code


def pull_each(
    client: Engine,
    recipes: Sequence[Recipe],
    sources: Sources,
    display: Display,
    *,
    jobs: int,
    digest: str | None = None,
) -> list[TransferredCell]:
    """Pull the images of *recipes*, and return what came of each, in their order. digest: the only one that will do."""
    registries = client.registries(display.say)

    def one(recipe: Recipe, listener: TransferListener) -> Moved:
        known = candidates(client, recipe.identity, sources)
        return prebuilt.pull(client, registries, recipe, known, listener, digest=digest)

    return _each(recipes, one, display, jobs=jobs, alike=str)


def push_each(
    client: Engine, recipes: Sequence[Recipe], sources: Sources, built_as: str, display: Display, *, jobs: int
) -> list[TransferredCell]:
    """Push the images of *recipes*, and return what came of each, in their order.

    built_as: the registry's name that they may have been built under. Images of one backend go one after another: the
    registry then takes the layers of the first for the others too, and none is sent twice.
    """

    def one(recipe: Recipe, listener: TransferListener) -> Moved:
        known = candidates(client, recipe.identity, sources)
        own = candidates(client, recipe.identity, replace(sources, registry=built_as))
        return prebuilt.push(client, recipe, known, own, listener)

    return _each(recipes, one, display, jobs=jobs, alike=lambda recipe: recipe.spec.variant)


def offered(client: Engine, identities: Sequence[Identity], sources: Sources) -> set[str]:
    """Return the cells among those of *identities* that could be pulled; none where the registry names no host.

    Raises RegistryError where it cannot be asked.
    """
    if not sources.has_registry:
        return set()
    registries = client.registries(lambda _: None)

    def is_offered(identity: Identity) -> bool:
        offer = prebuilt.find(registries, identity, candidates(client, identity, sources))
        return offer is not None and registries.platform in offer.remote.platforms

    return {identity.cell for identity in identities if is_offered(identity)}


def push_built(client: Engine, recipe: Recipe, sources: Sources, display: Display) -> Moved:
    """Push the image of *recipe* that was just built from *sources*. Raises RegistryError."""
    display.phase(f"push {sources.registry}/{recipe}")
    listener = TransferListener(TransferProgress(display, str(recipe)).show, display.say)
    moved = prebuilt.push(client, recipe, candidates(client, recipe.identity, sources), (), listener)
    display.say(f"Image {moved.candidate.exact}: {moved.state}.")
    return moved


def require_all(outcomes: Sequence[TransferredCell], done: str) -> None:
    """Raise the error of the one cell that failed, or SeveralFailedError. done: what was to be done, a participle."""
    failed = [each for each in outcomes if each.error is not None]
    if len(failed) > 1:
        raise SeveralFailedError(done, failed, len(outcomes))
    for each in failed:
        if each.error is not None:
            raise each.error


def _each(
    recipes: Sequence[Recipe],
    work: Callable[[Recipe, TransferListener], Moved],
    display: Display,
    *,
    jobs: int,
    alike: Callable[[Recipe], str],
) -> list[TransferredCell]:
    """Do *work* for every cell in at most *jobs* threads; those that are *alike* one after another.

    Interrupted, the engine cancels what nobody listens to any more.
    """
    shift = _Shift(work, display)
    for group in _grouped(recipes, alike):
        shift.waiting.put(group)
    threads.work(shift.run, jobs, shift.stopped)
    return [shift.outcomes[str(recipe)] for recipe in recipes]


def _grouped(recipes: Sequence[Recipe], alike: Callable[[Recipe], str]) -> Iterable[list[Recipe]]:
    groups: dict[str, list[Recipe]] = {}
    for recipe in recipes:
        groups.setdefault(alike(recipe), []).append(recipe)
    return groups.values()


class _Shift:
    """State shared by the threads: groups that wait, outcome of each cell, and whether to stop."""

    def __init__(self, work: Callable[[Recipe, TransferListener], Moved], display: Display) -> None:
        self._work, self._display = work, display
        self.waiting: SimpleQueue[list[Recipe]] = SimpleQueue()
        self.outcomes: dict[str, TransferredCell] = {}
        self.stopped = threading.Event()

    def run(self) -> None:
        """Take groups until none waits: then queue.Empty is raised."""
        while True:
            for recipe in self.waiting.get_nowait():
                self.outcomes[str(recipe)] = self._outcome(recipe)

    def _outcome(self, recipe: Recipe) -> TransferredCell:
        self._check()
        start = time.monotonic()
        try:
            moved = self._work(recipe, self._listener(recipe))
        except Interrupted:
            raise
        except MlperfDockerError as error:
            self._display.say(f"{recipe}: failed: {str(error).splitlines()[0]}")
            return TransferredCell(str(recipe), time.monotonic() - start, error=error)
        seconds = time.monotonic() - start
        size = f" {readable(moved.size_bytes)}" if moved.size_bytes else ""
        self._display.say(f"Image {moved.candidate.exact}: {moved.state}{size} in {seconds:.1f} s.")
        return TransferredCell(str(recipe), seconds, moved)

    def _listener(self, recipe: Recipe) -> TransferListener:
        progress = TransferProgress(self._display, str(recipe))

        def hear(event: LayerEvent) -> None:
            self._check()
            progress.show(event)

        return TransferListener(hear, self._display.say)

    def _check(self) -> None:
        if self.stopped.is_set():
            raise Interrupted("Interrupted.")
