"""Images on an engine: the newest of a cell."""

from typing import Any

from mlperf_docker.engine.local_images import newest_of_ours

CELL = {"org.mlperf-docker": "image", "org.mlperf-docker.cell": "bert:onnxruntime-cpu"}


class Listed:
    """Engine that has the images that it is given."""

    def __init__(self, *images: dict[str, Any]) -> None:
        self._images = list(images)

    def find_image(self, reference: str) -> dict[str, Any] | None:
        raise NotImplementedError(reference)

    def images(self, label: str) -> list[dict[str, Any]]:
        assert label == "org.mlperf-docker=image"
        return self._images


def image(created: int, *tags: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"Created": created, "RepoTags": list(tags) or None, "Labels": CELL if labels is None else labels}


def test_the_newest_image_of_a_cell_is_found_by_its_shortest_tag() -> None:
    older, newer = image(1, "a/bert:x"), image(2, "a/bert:onnxruntime-cpu-0123", "a/bert:onnxruntime-cpu")
    untagged, no_cell = image(3), image(4, "a/other:x", labels={"org.mlperf-docker": "image"})
    assert newest_of_ours(Listed(older, newer, untagged, no_cell)) == "a/bert:onnxruntime-cpu"
    assert newest_of_ours(Listed(untagged, no_cell)) is None
    assert newest_of_ours(Listed()) is None
