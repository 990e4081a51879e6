"""Pinning of a campaign's images: each cell of campaign.yaml gets its image in the registry, by digest.

Whole lines are written or replaced, so that comments and order stay. ruamel.yaml keeps these too, but rewrites quotes
and indentation of the rest, and would be a second reader of YAML beside the one that tells lines.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from mlperf_docker.campaigns.campaign import Campaign, CampaignError
from mlperf_docker.catalog import checked_yaml, yaml_lines
from mlperf_docker.catalog.yaml_lines import Document
from mlperf_docker.display.progress import Display
from mlperf_docker.errors import UsageError
from mlperf_docker.images import offers
from mlperf_docker.images.sources import Sources
from mlperf_docker.system import atomic

_KEY = "image"
_MODEL = re.compile(r"(?P<before>[ -]*)model:\s")


def pin(campaign: Campaign, sources: Sources, display: Display) -> list[str]:
    """Write into *campaign*'s file which image the registry has for each cell now, and return these, in order.

    Raises RegistryError for a cell that it has no image of, and UsageError where a line of the file cannot be written;
    the file then stays as it was.
    """
    if campaign.bundle is not None:
        raise UsageError(
            f"The images of {campaign.path} come from the bundle {campaign.bundle}.", hint="Leave out its line first."
        )
    found = []
    for cell in campaign.cells:
        display.phase(f"look up {cell.spec}")
        hint = f"Push it: mlperf-docker push {cell.spec.words}"
        found.append(offers.offer(cell.recipe, sources, display.say, hint).remote.pinned)
    _write(campaign.path, found)
    return found


def _write(path: Path, images: Sequence[str]) -> None:
    """Give the cells of *path* their *images*."""
    document = checked_yaml.read(path, CampaignError)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    changed = {
        _line(document, index): _with_image(path, lines, document, index, each) for index, each in enumerate(images)
    }
    text = "".join(changed.get(number, line) for number, line in enumerate(lines, 1))
    cells = yaml_lines.read(text).data["cells"]
    for index, (cell, image) in enumerate(zip(cells, images, strict=True)):
        if cell.get(_KEY) != image:  # an anchor or a merge key makes one line two cells'
            raise _by_hand(path, document, index, image)
    atomic.write_text(path, text)


def _line(document: Document, index: int) -> int:
    """Return the line of the cell at *index* that is written anew: that of its image, else of its model."""
    place = ("cells", index, _KEY)
    return document.line(place if place in document.lines else ("cells", index, "model"))


def _with_image(path: Path, lines: Sequence[str], document: Document, index: int, image: str) -> str:
    """Return what takes the place of that line."""
    line = lines[_line(document, index) - 1]
    if ("cells", index, _KEY) in document.lines:
        before, is_key, _ = line.partition(f"{_KEY}:")
        if is_key and not before.strip(" -"):
            return f"{before}{_KEY}: {image}\n"
    elif found := _MODEL.match(line):
        return f"{line.rstrip()}\n{' ' * len(found['before'])}{_KEY}: {image}\n"
    raise _by_hand(path, document, index, image)


def _by_hand(path: Path, document: Document, index: int, image: str) -> UsageError:
    line = _line(document, index)
    return UsageError(f"{path}:{line}: the cell's image has no line of its own there.", hint=f"Write {_KEY}: {image}")
