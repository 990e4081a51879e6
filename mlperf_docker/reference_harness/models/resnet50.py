"""ResNet-50: the reference reads ImageNet's official layout; a part of it is a shorter list."""

from collections.abc import Mapping
from itertools import islice

from mlperf_docker.harness.models.resnet50.dataset import MAP
from mlperf_docker.reference_harness.files import Given


def files(given: Given) -> Mapping[str, object]:
    """The list of the images that are used."""
    short = given.work / MAP
    with (given.data / MAP).open(encoding="utf-8") as lines:
        short.write_text("".join(islice((line for line in lines if line.strip()), given.count)), encoding="utf-8")
    return {"list": short}
