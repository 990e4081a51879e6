"""Progress of builds and of pushes and pulls."""

from mlperf_docker.display.progress import BYTES, Display
from mlperf_docker.engine.transfer import LayerEvent
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind

_STEP_WIDTH = 84
_PLUMBING = ("[internal]", "copy /context")

_LAYER_STATES = ("Downloading", "Extracting", "Pushing")  # those with bytes to tell


class BuildProgress:
    """Shows a build: a line for each step, and the transfers of the one that runs."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def show(self, event: BuildEvent) -> None:
        """Show *event*; a step's output goes to the log only."""
        if event.step.startswith(_PLUMBING):
            return
        match event.kind:
            case BuildEventKind.STARTED:
                self._display.phase(_shortened(event.step))
            case BuildEventKind.CACHED:
                self._display.say(f"   cached  {_shortened(event.step)}")
            case BuildEventKind.FAILED:
                self._display.say(f"   FAILED  {_shortened(event.step)}")
            case BuildEventKind.PROGRESS:
                self._display.progress(event.current, event.total or None, BYTES)


class TransferProgress:
    """Shows a pull or a push: each layer that moves, under the name of its image."""

    def __init__(self, display: Display, name: str) -> None:
        self._display, self._name = display, name

    def show(self, event: LayerEvent) -> None:
        """Show *event*; what has no bytes to tell is not there, or is no longer."""
        for state in _LAYER_STATES:
            part = f"{self._name}  {event.layer}  {state.lower()}"
            if event.state == state:
                self._display.part(part, event.current, event.total or None)
            else:
                self._display.part_over(part)


def _shortened(step: str) -> str:
    """One line of a step's name, `[backend 1/1] RUN pip …`: blanks folded, mounts left out."""
    line = " ".join(word for word in step.split() if not word.startswith("--mount="))
    return line if len(line) <= _STEP_WIDTH else f"{line[: _STEP_WIDTH - 1]}…"
