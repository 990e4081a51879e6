"""Entry point of the mlperf-docker command: no traceback, whenever a signal comes."""

import gc
import signal
import sys

from mlperf_docker.system import signals

_OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""A command's imports make that many objects, and hardly any of them is garbage."""
_INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run the command line; its exit code does not depend on whether anybody reads what it prints.

    Commands say themselves how they were interrupted. Here it is too early for that, while modules and the command line
    are being read, or too late. What reads modules comes after the first line: until then a signal just kills.
    """
    signals.heed()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        code = _run()
    except KeyboardInterrupt:
        from mlperf_docker.display import streams

        streams.err("Interrupted.")
        code = _INTERRUPTED
    finally:
        signals.ignore()
    from mlperf_docker.display import streams

    gc.freeze()  # Python would look for garbage once more at its end, which takes 5 ms
    sys.exit(streams.finish(code))


def _run() -> int:
    """Run the command line and return its exit code. Raises KeyboardInterrupt where no command has told of it."""
    from mlperf_docker.display import streams

    streams.prepare()
    from mlperf_docker.cli.app import app

    try:
        app()
    except SystemExit as end:
        if end.__context__ is not None and isinstance(end.__context__.__cause__, KeyboardInterrupt):  # Typer's doing
            raise KeyboardInterrupt from end
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    main()
