"""Names of weights without the prefixes and counters of training."""

from collections.abc import Mapping

from mlperf_docker.harness.api.named_weights import T

COUNTER = "num_batches_tracked"
"""BatchNorm's own, for training; inference has no use for it, and old files lack it."""
WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""


def plain(values: Mapping[str, T]) -> dict[str, T]:
    """Weights by the network's own names: without counters of batches, and without a prefix that a wrapper gave all."""
    kept = {name: value for name, value in values.items() if not name.endswith(COUNTER)}
    while kept and (wrapper := next((each for each in WRAPPERS if all(name.startswith(each) for name in kept)), None)):
        kept = {name.removeprefix(wrapper): value for name, value in kept.items()}
    return kept
