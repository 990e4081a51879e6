"""Benchmark `rnnt`, composed for the harness."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api.benchmark import Benchmark, Parts
from mlperf_docker.harness.api.model import Model, Part, for_all
from mlperf_docker.harness.api.samples import Named, Payload, Report, write_rows
from mlperf_docker.harness.api.scores import Parity, Scored, SyntheticSet
from mlperf_docker.harness.architectures.rnnt import FULL, STACKED, RnntConfig
from mlperf_docker.harness.models.rnnt import NAME, accuracy, preprocess, synthetic
from mlperf_docker.harness.models.rnnt import network as networks
from mlperf_docker.harness.models.rnnt.dataset import LibriSpeech, open_librispeech
from mlperf_docker.harness.models.rnnt.decoding import MOST
from mlperf_docker.harness.models.rnnt.features import frames
from mlperf_docker.harness.models.rnnt.official import READERS
from mlperf_docker.harness.models.rnnt.preprocess import Utterances
from mlperf_docker.harness.models.rnnt.transcriber import Transcribing
from mlperf_docker.harness.samples.preprocessing import read_all
from mlperf_docker.harness.weights.formats import no_native, read_weights


class RnnTransducer(Benchmark[LibriSpeech, None, Utterances]):
    """Speech recognition: an utterance in, the characters that were said out."""

    name = NAME
    metrics = ("100 - WER",)
    server_bound_s = 1.0
    traced = ("labels", "lengths")
    parts = Parts(partial(read_weights, READERS, NAME), open_librispeech, synthetic.synthesize, None)

    def payload(self, dataset: LibriSpeech) -> Payload:
        """The labels of the longest utterance, if every frame had as many as there may be."""
        longest = max(frames(utterance.num_samples) for utterance in dataset.utterances)
        return Payload(accuracy.LABEL, -(-longest // STACKED) * MOST)

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:
        """Steps of a recurrent layer are quick for many utterances at once; in Server these wait for the longest."""
        if device.profile.is_accelerator:
            return (1, 16, 64, 256, 1024)
        return (16, 32, 64) if scenario is Scenario.OFFLINE else (1, 2, 4, 8)

    def native(self, path: Path, format: ModelFormat) -> Model[None, Utterances]:  # noqa: A002
        """There is no official graph; the interfaces serve for what needs no model."""
        if path != Path():
            raise no_native(self.name, path, format, ())
        joint = networks.joint_interface(FULL).fetching("labels")
        made = (networks.encoder_interface(FULL), networks.prediction_interface(FULL), joint)
        return _model(tuple(Part(path, interface) for interface in made), format, "no model", FULL)

    def network(self, arrays: Named, source: str) -> Model[None, Utterances]:
        """The three networks."""
        made = networks.checked(arrays, source)
        parts = tuple(Part(each, each.interface) for each in (made.encoder, made.prediction))
        joints = (Part(made.joint, made.joint.interface.fetching(name)) for name in ("labels", "logits"))
        return _model((*parts, *joints), None, "checkpoint's weights", made.config)

    def verify(self, dataset: LibriSpeech, *, workers: int, report: Report) -> Mapping[str, Any]:
        """Decode every sound file."""
        read_all(preprocess.waveform_job(dataset), workers=workers, report=report)
        words = sum(len(utterance.transcript.split()) for utterance in dataset.utterances)
        return {"hours": round(dataset.seconds / 3600, 3), "words": words}

    def preprocess(self, dataset: LibriSpeech, form: None, cache: Path, *, workers: int, report: Report) -> Utterances:  # noqa: ARG002
        """The sound, decoded."""
        return preprocess.prepare(dataset, cache, workers=workers, report=report)

    def score(
        self,
        log: Path,
        dataset: LibriSpeech,
        samples: Utterances,  # noqa: ARG002
        *,
        part: bool = False,
    ) -> Scored:
        """What is left of 100 % without the word error rate."""
        found = accuracy.score(log, dataset, part=part)
        return Scored((found.accuracy,), str(found))

    def known_scores(self, synthetic: SyntheticSet, count: int) -> tuple[float, ...]:
        """What the plain loop's transcripts reach on the first *count* utterances."""
        return (synthetic.known("known", count),)

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """The share of labels that differ, and of utterances with the same transcript."""
        real = np.arange(ours["labels"].shape[1]) < ours["lengths"][:, None]
        alike = (ours["labels"] == theirs["labels"]) | ~real
        same = alike.all(axis=1) & (ours["lengths"] == theirs["lengths"])
        return Parity(float(1 - alike[real].mean()), float(same.mean()))


def _model(
    parts: tuple[Part, ...],
    format: ModelFormat | None,  # noqa: A002
    variant: str,
    config: RnntConfig,
) -> Model[None, Utterances]:
    encoder, *others = parts
    return Model(
        source=encoder.source,
        format=format,
        interface=encoder.interface,
        variant=variant,
        form=None,
        postprocess_for=for_all(write_rows),
        beside=tuple(others),
        splitting=Transcribing(config),
    )


BENCHMARK = RnnTransducer()
