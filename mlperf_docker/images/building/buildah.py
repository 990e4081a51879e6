"""Builds with Podman, which answers to Docker's API and builds with Buildah: no traces, only lines of text.

podman-py 5.8 was tried: it hands the lines over when the build has ended, and knows no steps in them.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mlperf_docker.engine.engine import Engine, Message
from mlperf_docker.errors import BuildError
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.images.building.buildkit import BuildListener, follow
from mlperf_docker.system.redaction import hidden

# `[2/6] STEP 1/2: RUN …` begins a step. It ends at its `--> 39d0e997c67` or `--> Using cache 39d0…` line or at COMMIT;
# COMMIT's layer id follows. A build of a single stage has no count of stages.
# Source: containers/buildah, imagebuildah/stage_executor.go.
_STEP = re.compile(r"(?:\[\d+/\d+\] )?(?:STEP \d+/\d+:|(?P<commit>COMMIT)) .*")
_END = re.compile(r"--> (?P<cached>Using cache )?[0-9a-f]{7,64}")

# Of Buildah 1.28 (Podman 4.3), where the stage that `RUN --mount=from=` names was not built but taken from the cache.
_UNMOUNTED = "on host to bind mount into container"


class BuildahBuilder:
    """Builds through Podman's `POST /build`."""

    def __init__(self, client: Engine) -> None:
        self._client = client

    def build(self, request: BuildRequest, *, on_event: Callable[[BuildEvent], None]) -> str:
        """Return the image's id. Interrupting this ends the build; nothing is tagged then.

        Where Buildah cannot mount a stage that its cache gave, everything is built anew, and that is told.
        """
        try:
            return follow(self._client, request, BuildahListener(on_event), {})
        except BuildError as error:
            if request.no_cache or _UNMOUNTED not in str(error):
                raise
            on_event(BuildEvent(BuildEventKind.STARTED, "once more, as Buildah cannot mount a stage out of its cache"))
            anew = replace(request, no_cache=True)
            return follow(self._client, anew, BuildahListener(on_event), {})


@dataclass
class BuildahListener(BuildListener):
    """Understands Buildah's lines. One may come in pieces, and a message may hold several."""

    step: str = ""
    ended: bool = True
    started: float = 0.0
    rest: str = ""

    def hear(self, message: Message) -> None:
        """Take one of the engine's messages."""
        if "stream" in message:
            *lines, self.rest = (self.rest + str(message["stream"])).split("\n")
            for line in lines:
                self._line(line.rstrip("\r").rpartition("\r")[2])
        elif "error" in message:
            self._line(self.rest)
            self.error = hidden(str(message["error"]).strip())
            self.event(BuildEvent(BuildEventKind.FAILED, self.step, self.error))
        elif isinstance(message.get("aux"), dict):
            self.image = str(message["aux"]["ID"])

    def _line(self, line: str) -> None:
        step, end = _STEP.fullmatch(line), _END.fullmatch(line)
        if step:
            if step["commit"] and not self.ended:
                self._end(BuildEventKind.DONE)
            self.step, self.ended, self.started = line, False, time.monotonic()
            self.event(BuildEvent(BuildEventKind.STARTED, line))
        elif end and not self.ended:  # a step from the cache tells its layer twice
            self._end(BuildEventKind.CACHED if end["cached"] else BuildEventKind.DONE)
        elif line and not end:
            self.event(BuildEvent(BuildEventKind.LOG, "" if self.ended else self.step, line))

    def _end(self, kind: BuildEventKind) -> None:
        self.ended = True
        self.event(BuildEvent(kind, self.step, seconds=time.monotonic() - self.started))
