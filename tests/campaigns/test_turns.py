"""Turns at the runs of a campaign, between processes of one node and of several."""

import threading
from pathlib import Path

import pytest

from mlperf_docker.campaigns import turns
from mlperf_docker.errors import UsageError


def test_a_second_campaign_on_the_same_node_is_refused(tmp_path: Path) -> None:
    results, said = tmp_path / "results", list[str]()
    with turns.alone(results, said.append):
        assert results.is_dir()
        with pytest.raises(UsageError, match="A campaign is running") as caught, turns.alone(results, said.append):
            pass
    assert "campaign status" in (caught.value.hint or "")
    with turns.alone(results, said.append):
        assert said == []


def test_two_nodes_of_one_host_take_turns_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    with turns.alone(tmp_path, said.append):
        monkeypatch.setenv("SLURMD_NODENAME", "n2")
        with turns.alone(tmp_path, said.append):
            assert said == []


def test_one_run_waits_for_the_end_of_whoever_is_on_this_node(tmp_path: Path) -> None:
    said, waits, ended = list[str](), threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waits.set()

    def second() -> None:
        with turns.in_turn(tmp_path, say):
            ended.set()

    with turns.in_turn(tmp_path, said.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(60)
        assert not ended.is_set()
    thread.join()
    assert ended.is_set()
    assert said == ["Another run of this campaign is on this node: waiting for its end."]


def test_a_run_is_held_by_one_process_on_whatever_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "bert:pytorch-cpu fp32 Offline accuracy"
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    assert not turns.is_taken(tmp_path, name)
    with turns.of_run(tmp_path, name):
        monkeypatch.setenv("SLURMD_NODENAME", "n2")
        assert turns.is_taken(tmp_path, name)
        with pytest.raises(BlockingIOError), turns.of_run(tmp_path, name):
            pass
        with turns.of_run(tmp_path, name.replace("accuracy", "performance")):
            pass
    assert not turns.is_taken(tmp_path, name)
