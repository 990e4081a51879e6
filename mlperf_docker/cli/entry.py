"""Where the mlperf-docker command begins and ends: without a traceback, whenever Ctrl-C comes."""

import os
import signal
import sys

_INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run the command line. A closed pipe (`… | head`) is no error.

    Commands say themselves how they were interrupted. Here it is too early for that, while modules are being read, or
    too late: what has ended does not end otherwise because of a Ctrl-C that comes while Python clears up.
    """
    try:
        from mlperf_docker.cli.app import app

        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(_INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
