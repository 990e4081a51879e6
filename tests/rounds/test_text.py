"""Text of rounds for people."""

from mlperf_docker.rounds import text
from mlperf_docker.rounds.loading import load

ROUNDS = load()


def test_a_round_is_shown_with_seeds_layout_and_limits() -> None:
    for round_ in ROUNDS.all:
        shown = text.round_text(round_)
        assert all(str(seed) in shown for seed in round_.seeds.model_dump().values())
        assert f"{round_.layout.source}/" in shown
        assert "10,240 bytes" in shown
    assert "mlperf.conf" in text.round_text(ROUNDS.find("v4.0"))


def test_rows_of_rounds_and_benchmarks_fit_their_headers() -> None:
    assert set(text.BENCHMARKS_ORDER) == set(text.BENCHMARKS_HEADER)
    for round_ in ROUNDS.all:
        assert len(text.round_line(round_)) == len(text.ROUNDS_HEADER)
        assert all(len(text.benchmark_line(each)) == len(text.BENCHMARKS_HEADER) for each in round_.benchmarks)


def test_a_models_benchmarks_are_shown_with_what_is_asked_of_them() -> None:
    shown = text.model_text(ROUNDS.find("v4.1"), "resnet50")
    assert "Datacenter:  Server, Offline" in shown
    assert "a bound of 15 ms or less" in shown
    assert "TEST01, TEST04, TEST05" in shown
    assert "Divisions:   open\n" in text.model_text(ROUNDS.find("v6.0"), "retinanet")
    assert "each sample equally often" in text.model_text(ROUNDS.newest, "3d-unet")


def test_levels_of_a_model_show_once_what_they_share() -> None:
    shown = text.model_text(ROUNDS.find("v4.0"), "bert").splitlines()
    assert "Target:      bert-99: F1 89.96526; bert-99.9: F1 90.783126" in shown
    assert "Edge:        bert-99: SingleStream, Offline; bert-99.9: -" in shown
    assert "Datacenter:  Server, Offline" in shown
    assert len({line.partition(":")[0] for line in shown}) == len(shown)
