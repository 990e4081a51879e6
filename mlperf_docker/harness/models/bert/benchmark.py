"""The bert benchmark, put together for the harness."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario, SyntheticSize
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.errors import DatasetError
from mlperf_docker.harness.api.interface import Tensor
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Form, Named, Payload, Postprocess, Report, Samples
from mlperf_docker.harness.api.scores import Parity, SyntheticSet
from mlperf_docker.harness.architectures.bert import FULL, BertConfig
from mlperf_docker.harness.models.bert import accuracy, graphs, preprocess, synthetic
from mlperf_docker.harness.models.bert import network as networks
from mlperf_docker.harness.models.bert import payload as payloads
from mlperf_docker.harness.models.bert import weights as drawing
from mlperf_docker.harness.models.bert.dataset import Squad, open_squad, verify
from mlperf_docker.harness.models.bert.official import READERS
from mlperf_docker.harness.models.bert.parity import compare
from mlperf_docker.harness.weights.formats import read_weights


@dataclass(frozen=True, slots=True)
class Tokens:
    """How a model takes its samples.

    dtype: of the ids; whole: always 384 tokens, as the official graphs have it; vocabulary: pieces that the model
    knows, None where no model was opened; described: which BERT it is.
    """

    dtype: str = "int64"
    whole: bool = False
    vocabulary: int | None = None
    described: str = ""

    @classmethod
    def of(cls, config: BertConfig, ids: Tensor) -> "Tokens":
        """What a model of this size with such an input takes."""
        return cls(ids.dtype, ids.shape[1] is not None, config.vocabulary, networks.describe(config))


class Bert:
    """Question answering: up to 384 tokens in, the logits of the answer's start and end at each of them out."""

    name = "bert"
    loadgen_key = "bert"
    metric = "F1"
    server_bound_s = 0.13
    tolerance = 0.0
    traced: tuple[str, ...] = ("logits",)

    def payload(self, dataset: Squad) -> Payload:  # noqa: ARG002
        """Start and end of each of 384 positions."""
        return Payload(np.float32, payloads.WIDTH)

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:  # noqa: ARG002
        """Up to 8 on a CPU, which a single sample of mean length nearly fills."""
        return (1, 2, 4, 8, 16, 32, 64, 128) if device.profile.is_accelerator else (1, 2, 4, 8)

    def native(self, path: Path, format: ModelFormat) -> Model:  # noqa: A002
        """An official graph, or one that `convert` wrote. Raises ModelFileError for another BERT, saying which."""
        graph = graphs.look(path, format)
        form = Tokens.of(graph.config, graph.interface.inputs[0])
        postprocess = payloads.of_logits if len(graph.interface.outputs) == 1 else payloads.of_start_and_end
        return Model(
            source=path,
            format=format,
            interface=graph.interface,
            variant=graph.variant,
            form=form,
            postprocess=postprocess,
            for_samples=None if form.whole else within,
        )

    def read(self, path: Path, format: ModelFormat) -> dict[str, NDArray[Any]]:  # noqa: A002
        """Weights with the PyTorch checkpoint's names."""
        return read_weights(READERS, self.name, path, format)

    def network(self, arrays: Named, source: str) -> Model:
        """The network, which takes samples of any length."""
        made = networks.checked(arrays, source)
        return Model(
            source=made,
            format=None,
            interface=made.interface,
            variant="PyTorch checkpoint's weights",
            form=Tokens.of(networks.config_of(arrays, source), made.interface.inputs[0]),
            postprocess=payloads.of_logits,
            for_samples=within,
        )

    def default_form(self, backend: str) -> Form:
        """That of the official file; what is kept in the cache is the same for all."""
        return {"tensorflow": Tokens("int32", whole=True), "onnxruntime": Tokens(whole=True)}.get(backend, Tokens())

    def open_dataset(self, root: Path, *, limit: int | None) -> Squad:
        """SQuAD's development set and the vocabulary at *root*."""
        return open_squad(root, limit=limit)

    def verify(self, dataset: Squad, *, workers: int, report: Report) -> Mapping[str, Any]:  # noqa: ARG002
        """Cut every question into features."""
        return verify(dataset, report)

    def preprocess(self, dataset: Squad, form: Tokens, cache: Path, *, workers: int, report: Report) -> Samples:  # noqa: ARG002
        """The features as tensors. Raises DatasetError where the vocabulary is not the model's."""
        if form.vocabulary not in (None, dataset.vocabulary.size):
            raise DatasetError(
                f"the vocabulary has {dataset.vocabulary.size} pieces; the model is {form.described}",
                hint="They belong to different models. See where MLPerf's is with: mlperf-docker data list",
            )
        return preprocess.prepare(dataset, cache, report, form.dtype, whole=form.whole)

    def score(self, log: Path, dataset: Squad, samples: Samples) -> tuple[float, str]:  # noqa: ARG002
        """F1 in percent."""
        found = accuracy.score(log, dataset)
        return found.f1, str(found)

    def synthesize(self, size: SyntheticSize, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
        """Questions, vocabulary and weights that need no download."""
        return synthetic.synthesize(size, cache, answerer, report, draw_network)

    def known_accuracy(self, synthetic: SyntheticSet, count: int) -> float:
        """What the plain loop's answers reach on the first *count* samples."""
        percent: float = synthetic.facts["F1"][count - 1]
        return percent

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """Logits, and where each sample's largest ones are."""
        return compare(ours["logits"], theirs["logits"])


def within(samples: Samples) -> Postprocess:
    """Payloads that leave out what a model says of a sample's padding, so that they do not depend on its batch.

    Only for models whose samples come without padding in the first place: with 384 tokens upstream's scorer sees what
    the model says of padding too, and so it shall of ours.
    """
    return partial(payloads.of_logits, lengths=samples.lengths)


def draw_network(size: SyntheticSize, vocabulary: int, seed: int) -> Network:
    """A network with random weights for a synthetic set."""
    config = replace(networks.TINY if size is SyntheticSize.TINY else FULL, vocabulary=vocabulary)
    return networks.network(drawing.draw(config, seed), config)
