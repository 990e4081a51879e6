"""Lines of accuracy.txt with a score, by the metric that upstream's checker calls it."""

import math
import re

_NUMBER = r"(\d+(?:\.\d+)?)"
_QUOTE = "[\"']"
_LINES = {
    "acc": rf'(?:accuracy=|\{{"accuracy":\s*){_NUMBER}',
    "mAP": rf".*mAP=\s*{_NUMBER}",
    "F1": rf"\{{{_QUOTE}exact_match{_QUOTE}:\s*[\d.]+,\s*{_QUOTE}f1{_QUOTE}:\s*{_NUMBER}\}}",
    "DICE": rf"Accuracy:\s*mean\s*=\s*{_NUMBER}",
    "AUC": rf"AUC={_NUMBER}",
    "WER": rf"Word Error Rate:.*, accuracy={_NUMBER}%",
}
"""Metric → how the line of its score begins."""


def find(text: str, metric: str) -> float | None:
    """Return the first score of that *metric* in *text*; None where there is none, or the metric is not known."""
    pattern = _LINES.get(metric)
    if pattern is None:
        return None
    found = re.search(f"^{pattern}", text, re.MULTILINE)
    score = float(found[1]) if found else math.nan
    return score if math.isfinite(score) else None
