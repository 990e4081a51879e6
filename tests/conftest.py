"""Fixtures for all tests, by the modules of tests/fixtures, and signals as tests expect them."""

import signal

pytest_plugins = [
    "tests.fixtures.catalog",
    "tests.fixtures.engine",
    "tests.fixtures.ordinary_user",
    "tests.fixtures.registries",
    "tests.fixtures.registry",
    "tests.fixtures.slurm",
    "tests.fixtures.submission_trees",
]


def pytest_configure() -> None:
    """Let signals that were ignored at the start (`nohup make test &`, jobs of CI systems) reach what tests start.

    A handler of Python's is gone in a program that is started, an ignored signal stays ignored there. SIGINT does here
    what it does at a terminal; the others go on doing nothing to pytest itself.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else lambda *_: None)
