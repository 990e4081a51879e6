"""Detail logs as a check of a tree reads them: strictly, and within bounds."""

from mlperf_docker.submission.checks.loadgen_log import parse

_ENTRY = ':::MLLOG {{"key": "{key}", "value": {value}, "metadata": {{"is_error": {error}}}}}\n'


def entry(key: str, value: str, error: str = "false") -> str:
    return _ENTRY.format(key=key, value=value, error=error)


def test_the_first_entry_of_a_key_counts() -> None:
    assert parse(entry("a", "1") + entry("a", "2")).values == {"a": 1}


def test_an_error_is_kept_with_its_line() -> None:
    (error,) = parse(entry("a", "1") + "\n" + entry("b", '"gone"', "true")).errors
    assert (error.line, error.said) == (3, "gone")


def test_an_entry_that_does_not_say_that_it_is_no_error_is_one() -> None:
    assert parse(entry("a", "1", '"false"')).errors


def test_lines_that_are_none_of_loadgens_are_told() -> None:
    text = entry("a", "1") + "text\n" + entry("b", "NaN") + ':::MLLOG {"value": 1}\n' + entry("c", "[" * 100_000)
    assert [broken.line for broken in parse(text).broken] == [2, 3, 4, 5]


def test_a_log_of_nothing_but_faults_keeps_few_of_them() -> None:
    log = parse("x\n" * 10_000 + entry("a", "1", "true") * 10_000)
    assert len(log.broken) == len(log.errors) == 100


def test_numbers_are_finite_and_no_truth_values() -> None:
    log = parse(entry("a", "1e999") + entry("b", "true") + entry("c", '"7"') + entry("d", "7.5"))
    assert [log.number(key) for key in "abcde"] == [None, None, None, 7.5, None]
    assert [log.text(key) for key in "cd"] == ["7", None]
