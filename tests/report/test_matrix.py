"""Matrix of a plan in the report: words, figures, and links to the runs that are in it."""

from mlperf_docker.report.matrix import Matrix, MatrixEntry, MatrixMark, MatrixRow
from mlperf_docker.report.page import render
from mlperf_docker.results.store import StoredResults
from tests.report.test_page import NOW, Page, named

GONE = MatrixEntry("gone", MatrixMark.DONE, run="b")
DONE = MatrixEntry("finished", MatrixMark.DONE, "3.1 ms", "20260101T000000.000-a")
ROWS = (
    MatrixRow("resnet", {"SingleStream performance": DONE}),
    MatrixRow("bert-99", {"Offline performance": MatrixEntry("INVALID", MatrixMark.FAILED), "Offline accuracy": GONE}),
)


def test_a_matrix_has_a_column_for_each_kind_of_run_and_links_to_those_in_the_report() -> None:
    runs = StoredResults((named("20260101T000000.000-a"),))
    found = Page(render(runs, NOW, [Matrix("Campaign <here>", ROWS)]))
    assert found.texts("h2")[0] == "Campaign <here>"
    assert found.texts("th", scope="col")[:4] == [
        "Benchmark", "SingleStream performance", "Offline performance", "Offline accuracy",
    ]  # fmt: skip
    cells = [(each.get("class"), text) for each, text in found.of("td")][:6]
    assert cells == [
        ("valid", "finished3.1 ms"), (None, ""), (None, ""), (None, ""), ("invalid", "INVALID"), ("valid", "gone"),
    ]  # fmt: skip
    assert [each["href"] for each, _ in found.of("a")] == ["#run-1", "#run-1"]  # the matrix's and the summary's
