"""Lines with a score, as the benchmarks' scripts print them."""

import pytest

from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.submission.checks import score_lines
from tests.fixtures.submission_trees import score_line


def test_every_metric_of_every_round_is_found_in_its_line(rounds: Rounds) -> None:
    metrics = {target.metric for each in rounds.all for benchmark in each.benchmarks for target in benchmark.targets}
    assert metrics
    for metric in metrics:
        assert score_lines.find(f"a line before\n{score_line(metric, 76.125)}\nhash=1\n", metric) == pytest.approx(
            76.125
        )


@pytest.mark.parametrize(
    ("text", "metric", "score"),
    [
        ('{"accuracy": 76.4, "good": 1}', "acc", 76.4),
        ("accuracy=76.456%, good=38228, total=50000", "acc", 76.456),
        ("the accuracy=76%", "acc", None),
        ("{'exact_match': 83.67, 'f1': 90.874}", "F1", 90.874),
        ("mAP=37.550%", "mAP", 37.55),
        ("Accuracy: mean = 0.86170, kidney = 0.9347, tumor = 0.7887", "DICE", 0.8617),
        ("AUC=80.31%, accuracy=81.1%", "AUC", 80.31),
        ("AUC=nan", "AUC", None),
        ("", "AUC", None),
        ("AUC=80.31%", "of another benchmark", None),
    ],
)
def test_a_score_is_read_where_its_line_begins_as_it_should(text: str, metric: str, score: float | None) -> None:
    assert score_lines.find(text, metric) == score
