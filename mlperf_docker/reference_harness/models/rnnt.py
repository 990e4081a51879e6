"""RNN-T: the reference reads a manifest of sound files, a training checkpoint, and the network's size from a TOML file.

Sound may be FLAC or WAV: it reads both, to the same numbers.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mlperf_docker.harness.api.samples import Named
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.architectures.rnnt import RnntConfig
from mlperf_docker.harness.models.rnnt import features, network
from mlperf_docker.harness.models.rnnt.manifest import FILE
from mlperf_docker.harness.models.rnnt.official import KEY, STORED
from mlperf_docker.harness.models.rnnt.utterances import Utterance
from mlperf_docker.reference_harness.forms import model_files
from mlperf_docker.reference_harness.models.files import Given

CODE, SCORER = "pytorch", "accuracy_eval.py"
"""What its scripts look for in the folder that they are started in: modules, and what an accuracy run starts last."""
CONFIG = f"{CODE}/configs/rnnt.toml"
CHECKPOINT, SIZED = "rnnt.pt", "rnnt.toml"


def files(given: Given) -> Mapping[str, object]:
    """The manifest of the utterances that are used, the network's size, and the synthetic checkpoint."""
    for name in (CODE, SCORER):
        (given.work / name).symlink_to(given.checkout / given.reference.folder / name)
    manifest = given.work / FILE
    manifest.write_text(json.dumps([entry(each) for each in given.dataset.utterances]), encoding="utf-8")
    official = {"manifest": manifest, "config": given.work / CONFIG}
    return {**official, **_of_synthetic(given, given.synthetic)} if given.synthetic and not given.model else official


def entry(utterance: Utterance) -> Mapping[str, object]:
    """The manifest's entry of *utterance*."""
    seconds = utterance.num_samples / features.RATE
    sound = {"fname": str(utterance.path), "duration": seconds, "speed": 1}
    return {"files": [sound], "original_duration": seconds, "transcript": utterance.transcript}


def _of_synthetic(given: Given, synthetic: SyntheticSet) -> Mapping[str, object]:
    """The checkpoint of the synthetic weights, and the settings of the checkout with their size."""
    arrays = model_files.arrays(given.benchmark, synthetic)
    config = given.work / SIZED
    settings = (given.work / CONFIG).read_text(encoding="utf-8")
    config.write_text(sized(settings, network.config_of(arrays, str(synthetic.weights))), encoding="utf-8")

    def make(folder: Path) -> None:
        import torch

        from mlperf_docker.reference_harness.forms import state_dict

        torch.save({KEY: state_dict.tensors(trained(arrays))}, folder / CHECKPOINT)

    kept = model_files.kept(synthetic.weights, given.cache / "model-trained", make)
    return {"config": config, "model": kept / CHECKPOINT}


def sized(settings: str, config: RnntConfig) -> str:
    """*settings* of the official network with another size."""
    sizes = {
        "encoder_n_hidden": config.encoder,
        "encoder_pre_rnn_layers": config.lower,
        "encoder_post_rnn_layers": config.upper,
        "pred_n_hidden": config.prediction,
        "pred_rnn_layers": config.layers,
        "joint_n_hidden": config.joint,
    }
    for key, size in sizes.items():
        settings = re.sub(rf"(?m)^{key}\s*=.*$", f"{key} = {size}", settings)
    return settings


def trained(arrays: Named) -> Named:
    """Weights as they were trained: with the filters and the window of the features, which the reference drops."""
    kept = dict(zip(STORED, (features.filterbank()[np.newaxis], features.hann()), strict=True))
    return {**arrays, **kept}
