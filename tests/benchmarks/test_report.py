"""Table that `make bench` writes into docs/performance.md."""

from benchmarks.__main__ import markdown
from benchmarks.measures import Figure


def test_a_row_for_each_figure_and_the_versions() -> None:
    reached = Figure("ratio", (1.0, 0.99, 1.01), 0.98, at_least=True)
    missed = Figure("start", (3.5, 3.25, 4.0), 3.0, "s")
    assert markdown([reached, missed], {"numpy": "2.4.6", "python": "3.11.7"}).splitlines() == [
        "| figure | median | least | most | bound |  |",
        "| --- | --- | --- | --- | --- | --- |",
        "| ratio | 1.000 | 0.990 | 1.010 | ≥ 0.98 |  |",
        "| start | 3.500 | 3.250 | 4.000 | ≤ 3 s | MISSED |",
        "",
        "numpy 2.4.6, python 3.11.7",
    ]
