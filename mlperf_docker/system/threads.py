"""Pool of daemon threads for one piece of work; Ctrl-C waits 2 s for them at most.

concurrent.futures joins its threads when Python ends: Ctrl-C would wait for whatever server they are reading from.
multiprocessing's ThreadPool waits for none of them: they would go on printing after the last message.
"""

import contextlib
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from mlperf_docker.errors import Interrupted

_STOP_TIMEOUT_S = 2.0


def work(part: Callable[[], None], threads: int, stopped: threading.Event) -> None:
    """Run *part* in each of *threads* threads until all have ended. One ends also with queue.Empty, or Interrupted.

    stopped: is set when the others shall end too: on Ctrl-C, and on an error that a thread did not expect, which is
    raised here, as nobody would hear of it there. Interrupted, this does not wait for what servers or the engine may
    still say: the connections end with this process.
    """
    ended: SimpleQueue[Exception | None] = SimpleQueue()  # Thread.join() does not wait again once Ctrl-C broke it off

    def run() -> None:
        broken: Exception | None = None
        try:
            part()
        except (Empty, Interrupted):
            pass
        except Exception as error:  # noqa: BLE001  # raised by the thread that waits
            broken = error
            stopped.set()
        finally:
            ended.put(broken)

    running, broken = 0, None
    try:
        for _ in range(threads):
            running += 1  # first: Ctrl-C may come as soon as it runs
            threading.Thread(target=run, daemon=True).start()
        while running:
            broken = ended.get() or broken
            running -= 1
    except BaseException:
        stopped.set()
        with contextlib.suppress(Empty):  # a moment only, so that none of them prints after the last message
            while running:
                ended.get(timeout=_STOP_TIMEOUT_S)
                running -= 1
        raise
    if broken is not None:
        raise broken
