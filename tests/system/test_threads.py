"""Threads that share work: how they end, each by itself and all of them at once."""

import os
import signal
import threading
import time
from queue import SimpleQueue

import pytest

from mlperf_docker.errors import Interrupted
from mlperf_docker.system import threads


def test_all_work_is_done_by_the_given_number_of_threads() -> None:
    waiting: SimpleQueue[int] = SimpleQueue()
    done: list[tuple[str, int]] = []
    meeting = threading.Barrier(3, timeout=10)
    for number in range(30):
        waiting.put(number)

    def part() -> None:
        meeting.wait()  # each of the threads is here
        while True:
            done.append((threading.current_thread().name, waiting.get_nowait()))

    threads.work(part, 3, threading.Event())
    assert sorted(number for _, number in done) == list(range(30))


def test_a_mistake_in_one_thread_ends_the_others_and_is_raised() -> None:
    stopped, number = threading.Event(), SimpleQueue[int]()
    for each in range(2):
        number.put(each)

    def part() -> None:
        if number.get() == 0:
            raise ZeroDivisionError
        assert stopped.wait(10)
        raise Interrupted("Told to stop.")

    with pytest.raises(ZeroDivisionError):
        threads.work(part, 2, stopped)


def test_ctrl_c_does_not_wait_for_a_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_STOP_TIMEOUT_S", 0.1)
    stopped, over = threading.Event(), threading.Event()

    def part() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        over.wait(30)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        threads.work(part, 1, stopped)
    assert stopped.is_set()
    assert time.monotonic() - start < 20
    over.set()


def test_no_threads_for_no_work() -> None:
    threads.work(pytest.fail, 0, threading.Event())
