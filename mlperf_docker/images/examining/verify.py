"""Verification of an image: its files, read from outside, compared with its cell's recipe of today."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import filesystem
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.engine import Engine, Images
from mlperf_docker.errors import UsageError
from mlperf_docker.images.examining.contents import Contents, is_wanted
from mlperf_docker.images.examining.differences import Difference, Examined, differences
from mlperf_docker.images.lookup import likely_image
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.identity import moving_tag
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.recipe import Recipe

_SHOWN_OF_A_KIND = 20


class ImageAbsentError(UsageError):
    """The image to look into is not on this engine."""

    def __init__(self, reference: str, words: str) -> None:
        self.reference = reference
        hint = f"Build it: mlperf-docker build {words}; or pull it."
        super().__init__(f"The image {reference} is not on this engine.", hint=hint)


@dataclass(frozen=True)
class ImageVerdict:
    """Result of the verification of one image."""

    cell: str
    """Name of its recipe."""
    tag: str
    id: str
    components: int
    """Number of components in its bill of materials."""
    files: int
    """Number of files that were read."""
    differences: tuple[Difference, ...]

    def lines(self) -> Iterator[str]:
        """The verdict for people: one line, and one more for each difference, where they are not too many."""
        if not self.differences:
            yield f"{self.cell}: as it should be: {self.tag} ({self.components} components, {self.files} files)"
            return
        count = f"{len(self.differences)} difference{'s' if len(self.differences) > 1 else ''}"
        yield f"{self.cell}: {count} in {self.tag}"
        for kind in dict.fromkeys(each.kind for each in self.differences):
            of_kind = [each for each in self.differences if each.kind is kind]
            yield from (f"  {kind:<8} {each}" for each in islice(of_kind, _SHOWN_OF_A_KIND))
            if len(of_kind) > _SHOWN_OF_A_KIND:
                yield f"  {kind:<8} and {len(of_kind) - _SHOWN_OF_A_KIND} more, all of them with --json"

    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "cell": self.cell,
            "image": {"tag": self.tag, "id": self.id},
            "equal": not self.differences,
            "components": self.components,
            "files": self.files,
            "differences": [each.fields() for each in self.differences],
        }


def locate(client: Images, recipe: Recipe, sources: Sources) -> str:
    """Return the name of the image of *recipe* that is here: the one of today's sources, else the last one made.

    Raises ImageAbsentError.
    """
    exact, present = likely_image(client, recipe.identity, sources)
    if present:
        return exact
    moving = moving_tag(str(recipe), sources.registry)
    if images.find(client, moving) is None:
        raise ImageAbsentError(exact, recipe.words)
    return moving


def verify(client: Engine, recipe: Recipe, reference: str, display: Display) -> ImageVerdict:
    """Compare the image *reference* with today's *recipe*. Nothing of the image runs for it.

    Raises ImageAbsentError.
    """
    description = client.find_image(reference)
    if description is None:
        raise ImageAbsentError(reference, recipe.words)
    display.phase(f"read {reference}")
    contents = Contents(filesystem.read(client, description["Id"], is_wanted))
    examined = Examined(
        tags=tuple(description["RepoTags"] or ()),
        labels=dict(description["Config"]["Labels"] or {}),
        config=description["Config"],
        contents=contents,
    )
    return ImageVerdict(
        cell=str(recipe),
        tag=reference,
        id=description["Id"],
        components=len((contents.sbom or {}).get("components", ())),
        files=sum(each.kind is filesystem.FileKind.FILE for each in contents.files.entries.values()),
        differences=tuple(differences(recipe, examined)),
    )


def sbom(client: Engine, spec: ImageSpec, reference: str) -> bytes:
    """Return the bill of materials in the image *reference*, byte for byte. Raises ImageAbsentError, and UsageError."""
    if images.find(client, reference) is None:
        raise ImageAbsentError(reference, spec.words)
    found = filesystem.read_file(client, reference, LAYOUT.sbom)
    if found is None:
        raise UsageError(
            f"{reference} has no bill of materials: it was built before images had one.", hint="Build it again."
        )
    return found
