"""docs/commands.md against the command line."""

from pathlib import Path

import pytest

from mlperf_docker.cli.reference import PAGE, main, reference
from mlperf_docker.system.paths import assets
from tests.cli.test_cli import tool


def test_the_committed_page_is_current() -> None:
    assert (assets() / PAGE).read_text() == reference(), "run: make commands"


@pytest.mark.parametrize("command", ["", "run", "bundle write"])
def test_the_reference_has_the_options_that_help_shows(command: str) -> None:
    section = reference().split(f"## mlperf-docker {command}".rstrip() + "\n")[1].split("\n## ")[0]
    for line in tool(*command.split(), "--help").stdout.splitlines():
        words = [word.strip(",") for word in line.split()]
        if (
            words
            and words[0].startswith("-")
            and not {"--help", "--install-completion", "--show-completion"} & {*words}
        ):
            assert f"{words[0]}{' ' if words[0].startswith('--') else ','}" in section.replace("`", " "), line


def test_make_docs_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    main(tmp_path)
    assert (tmp_path / PAGE).read_text() == reference()
    assert capsys.readouterr().out == f"{tmp_path / PAGE}\n"
