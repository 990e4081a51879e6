"""Facts of the model that ran, as a round's checkers want them in the measurements file."""

from mlperf_docker.catalog.spec import ImageSpec, ModelFile
from mlperf_docker.contract.words import Precision
from mlperf_docker.results.values import RunResult
from mlperf_docker.submission import implementation
from mlperf_docker.submission.layout import SYNTHETIC
from mlperf_docker.system import strict_json


def text(spec: ImageSpec, run: RunResult) -> str:
    """The content of the measurements file: five keys, none of them empty, and whose code ran if it is not ours."""
    of_others = {} if run.harness is None else {"implementation": implementation.text(run.harness)}
    return strict_json.dumps({**facts(spec, run), **of_others}) + "\n"


def facts(spec: ImageSpec, run: RunResult) -> dict[str, str]:
    """The facts by key. Nothing of ours trains, so nothing is retrained."""
    return {
        "input_data_types": ", ".join(spec.model.input_types),
        "retraining": "no",
        "starting_weights_filename": _weights(spec, run),
        "weight_data_types": run.precision,
        "weight_transformations": _transformations(spec, run),
    }


def official_file(spec: ImageSpec, run: RunResult) -> ModelFile | None:
    """The official file that *run* used; None for a file of the user's own, and for weights that were made up."""
    used = run.model_file or {}
    if not used.get("official"):
        return None
    known = (each for each in spec.model.files if each.backend == spec.backend and each.precision == run.precision)
    return next((each for each in known if each.name == used.get("name")), None)


def _weights(spec: ImageSpec, run: RunResult) -> str:
    """The address that the weights can be had from, or the name and checksum of a file that has none."""
    official = official_file(spec, run)
    if official is not None:
        return official.urls[0]
    used = run.model_file or {}
    checksum = f", sha256 {used['sha256']}" if used.get("sha256") else ""
    return f"{f'{SYNTHETIC}: ' if run.synthetic else ''}{used.get('name', 'not on record')}{checksum}"


def _transformations(spec: ImageSpec, run: RunResult) -> str:
    if run.synthetic:
        return f"{SYNTHETIC}: seeded random values, not trained"
    if official_file(spec, run) is None:
        network = "" if run.harness else " in the network of mlperf-docker"
        return f"a file of the submitter's own{network} ({(run.model_file or {}).get('variant')})"
    return "none: the official file is quantized already" if run.precision is Precision.INT8 else "none"
