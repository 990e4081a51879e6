"""BERT: the reference reads SQuAD's official layout, and the size of the network from a file beside it.

It makes features of all questions, and keeps them in its working folder for the scoring script.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.bert import FULL, BertConfig
from mlperf_docker.harness.models.bert import network
from mlperf_docker.harness.samples import accuracy_log
from mlperf_docker.harness.weights import safetensors
from mlperf_docker.reference_harness.forms import model_files
from mlperf_docker.reference_harness.models.files import Given

CONFIG = "bert_config.json"
QUESTIONS = "dev-v1.1.json"
FEATURES = "eval_features.pickle"
QUANTISED = "bert_large_v1_1_fake_quant.onnx"
_PAIR = 8
"""Bytes of the logits of a position."""


def files(given: Given) -> Mapping[str, object]:
    """The size of the network as the reference reads it, and how many features it is to use, if not all."""
    config = FULL
    if given.synthetic:
        weights = given.synthetic.weights
        config = network.config_of(safetensors.read(weights), str(weights))
    (given.work / CONFIG).write_text(json.dumps(described(config)), encoding="utf-8")
    return {
        "vocabulary": given.data / "vocab.txt",
        "questions": _questions(given),
        "features": given.work / FEATURES,
        "predictions": given.work / "predictions.json",
        "part": given.options.samples and given.count,
        "model": given.model or _quantised(given),
    }


def _quantised(given: Given) -> Path:
    """The synthetic weights as an int8 graph with the official one's inputs, by the quantiser that our harness uses."""
    synthetic = given.made

    def make(folder: Path) -> None:
        from mlperf_docker.harness.backends.onnxruntime.quantise import quantise
        from mlperf_docker.harness.ops.onnx import serialize

        made = network.checked(model_files.arrays(given.benchmark, synthetic), str(synthetic.weights))
        (folder / QUANTISED).write_bytes(quantise(serialize(_with_int8_inputs(made))))

    return model_files.kept(synthetic.weights, given.cache / "model-int8", make) / QUANTISED


def _with_int8_inputs(made: Network) -> Network:
    """The same network, its inputs called as those of the official int8 graph."""
    named = zip(made.interface.inputs, network.INT8_INPUTS, strict=True)
    inputs = tuple(replace(tensor, name=name) for tensor, name in named)
    return replace(made, interface=replace(made.interface, inputs=inputs))


def scored_log(given: Given, log: Path) -> Path:
    """On synthetic weights a log with the logits of tokens alone: random weights prefer padding at times.

    The scorer takes answers that are shorter than 384 positions. It looks for the best of all positions, and has no
    answer where those are padding.
    """
    if given.synthetic is None:
        return log
    lengths = given.dataset.features.lengths
    found = enumerate(accuracy_log.answers(log))
    kept = [
        {"seq_id": number, "qsl_idx": each.sample, "data": each.data[: _PAIR * int(lengths[each.sample])].hex()}
        for number, each in found
    ]
    place = given.work / "tokens.json"
    place.write_text(json.dumps(kept), encoding="utf-8")
    return place


def _questions(given: Given) -> Path:
    """The questions that are used: the file itself, or a shorter one, as the script's own limit scores one too few."""
    whole = given.data / QUESTIONS
    if given.dataset.scored == len(given.dataset.questions):
        return whole
    content = json.loads(whole.read_text(encoding="utf-8"))
    left = given.dataset.scored
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            paragraph["qas"] = paragraph["qas"][:left]
            left -= len(paragraph["qas"])
    short = given.work / QUESTIONS
    short.write_text(json.dumps(content), encoding="utf-8")
    return short


def described(config: BertConfig) -> Mapping[str, object]:
    """*config* with the names that the published configurations have."""
    return {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": config.hidden,
        "initializer_range": 0.02,
        "intermediate_size": config.intermediate,
        "max_position_embeddings": config.positions,
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "type_vocab_size": config.segments,
        "vocab_size": config.vocabulary,
    }
