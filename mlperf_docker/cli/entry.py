"""Where the mlperf-docker command begins and ends: without a traceback, whenever Ctrl-C comes."""

import signal
import sys

from mlperf_docker import streams

_INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run the command line; its exit code does not depend on whether anybody reads what it prints.

    Commands say themselves how they were interrupted. Here it is too early for that, while modules are being read, or
    too late: what has ended does not end otherwise because of a Ctrl-C that comes while Python clears up.
    """
    streams.prepare()
    try:
        code = _run()
    except KeyboardInterrupt:
        streams.err("Interrupted.")
        code = _INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(streams.finish(code))


def _run() -> int:
    """Run the command line and return its exit code."""
    from mlperf_docker.cli.app import app

    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    main()
