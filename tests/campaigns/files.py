"""Campaigns in a folder of a test."""

import textwrap
from pathlib import Path

import pytest

from mlperf_docker.campaigns.campaign import Campaign, CampaignError, load

HEAD = """\
round: v6.1
division: closed
suite: edge
submitter: Example
"""


def written(folder: Path, cells: str, head: str = HEAD) -> Path:
    """A campaign.yaml in *folder* of *head* and the list *cells*."""
    path = folder / "campaign.yaml"
    path.write_text(f"{head}cells:\n{textwrap.indent(textwrap.dedent(cells).strip(), '  ')}\n")
    return path


def campaign(folder: Path, cells: str, head: str = HEAD) -> Campaign:
    """The campaign that such a file is."""
    return load(written(folder, cells, head))


def problems(folder: Path, cells: str, head: str = HEAD) -> list[tuple[int, str]]:
    """Line and message of everything that is wrong with such a file."""
    with pytest.raises(CampaignError) as caught:
        campaign(folder, cells, head)
    return [(each.line, each.message) for each in caught.value.problems]
