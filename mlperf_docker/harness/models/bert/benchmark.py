"""Benchmark `bert`, composed for the harness."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario, SyntheticSize
from mlperf_docker.harness.api.benchmark import Benchmark, Parts
from mlperf_docker.harness.api.errors import DatasetError
from mlperf_docker.harness.api.interface import Tensor
from mlperf_docker.harness.api.model import Model, for_all
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Named, Payload, Postprocess, Report, Samples
from mlperf_docker.harness.api.scores import Parity, Scored, SyntheticSet
from mlperf_docker.harness.architectures.bert import FULL, BertConfig
from mlperf_docker.harness.models.bert import NAME, accuracy, graphs, preprocess, synthetic
from mlperf_docker.harness.models.bert import network as networks
from mlperf_docker.harness.models.bert import payload as payloads
from mlperf_docker.harness.models.bert import weights as drawing
from mlperf_docker.harness.models.bert.dataset import Squad, open_squad, verify
from mlperf_docker.harness.models.bert.official import READERS
from mlperf_docker.harness.models.bert.parity import compare
from mlperf_docker.harness.models.bert.preprocess import TokenSamples
from mlperf_docker.harness.weights.formats import read_weights


@dataclass(frozen=True, slots=True)
class Tokens:
    """Form of the samples that a model takes."""

    dtype: str = "int64"
    """Type of the ids."""
    whole: bool = False
    """Always 384 tokens, as the official graphs have it."""
    vocabulary: int | None = None
    """Pieces that the model knows, None where no model was opened."""
    described: str = ""
    """Description of the model, for people."""

    @classmethod
    def of(cls, config: BertConfig, ids: Tensor) -> "Tokens":
        """What a model of this size with such an input takes."""
        return cls(ids.dtype, ids.shape[1] is not None, config.vocabulary, networks.describe(config))


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


class Bert(Benchmark[Squad, Tokens, TokenSamples]):
    """Question answering: up to 384 tokens in, the logits of the answer's start and end at each of them out."""

    name = NAME
    metrics = ("F1",)
    server_bound_s = 0.13
    traced = ("logits",)
    parts = Parts(
        partial(read_weights, READERS, NAME),
        open_squad,
        partial(synthetic.synthesize, make_network=draw_network),
        Tokens(),
    )

    def payload(self, dataset: Squad) -> Payload:  # noqa: ARG002
        """Start and end of each of 384 positions."""
        return Payload(np.float32, payloads.WIDTH)

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:  # noqa: ARG002
        """Up to 8 on a CPU, which a single sample of mean length nearly fills."""
        return (1, 2, 4, 8, 16, 32, 64, 128) if device.profile.is_accelerator else (1, 2, 4, 8)

    def native(self, path: Path, format: ModelFormat) -> Model[Tokens, TokenSamples]:  # noqa: A002
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
            postprocess_for=for_all(postprocess) if form.whole else within,
        )

    def network(self, arrays: Named, source: str) -> Model[Tokens, TokenSamples]:
        """The network, which takes samples of any length."""
        made = networks.checked(arrays, source)
        return Model(
            source=made,
            format=None,
            interface=made.interface,
            variant="PyTorch checkpoint's weights",
            form=Tokens.of(networks.config_of(arrays, source), made.interface.inputs[0]),
            postprocess_for=within,
        )

    def default_form(self, official: ModelFormat | None) -> Tokens:
        """Graphs take whole samples; what is kept in the cache is the same for all."""
        graphs = {ModelFormat.FROZEN_GRAPH: Tokens("int32", whole=True), ModelFormat.ONNX: Tokens(whole=True)}
        return graphs.get(official, Tokens()) if official else Tokens()

    def verify(self, dataset: Squad, *, workers: int, report: Report) -> Mapping[str, Any]:  # noqa: ARG002
        """Cut every question into features."""
        return verify(dataset, report)

    def preprocess(
        self,
        dataset: Squad,
        form: Tokens,
        cache: Path,
        *,
        workers: int,  # noqa: ARG002
        report: Report,
    ) -> TokenSamples:
        """The features as tensors. Raises DatasetError where the vocabulary is not the model's."""
        if form.vocabulary not in (None, dataset.vocabulary.size):
            raise DatasetError(
                f"the vocabulary has {dataset.vocabulary.size} pieces; the model is {form.described}",
                hint="They belong to different models. See where MLPerf's is with: mlperf-docker data list",
            )
        return preprocess.prepare(dataset, cache, report, form.dtype, whole=form.whole)

    def score(
        self,
        log: Path,
        dataset: Squad,
        samples: TokenSamples,  # noqa: ARG002
        *,
        part: bool = False,  # noqa: ARG002
    ) -> Scored:
        """F1 in percent."""
        found = accuracy.score(log, dataset)
        return Scored((found.f1,), str(found))

    def known_scores(self, synthetic: SyntheticSet, count: int) -> tuple[float, ...]:
        """What the plain loop's answers reach on the first *count* samples."""
        return (synthetic.known("F1", count),)

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """Logits, and where each sample's largest ones are."""
        return compare(ours["logits"], theirs["logits"])


BENCHMARK = Bert()
