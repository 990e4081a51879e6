"""images.yaml loads completely, and whatever can be wrong with it is reported with its line."""

import itertools
import re
import time
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog, CatalogError
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Precision, Scenario
from mlperf_docker.errors import UsageError
from mlperf_docker.system.paths import assets

IMAGES_YAML = assets() / "images.yaml"
TEXT = IMAGES_YAML.read_text()
CATALOG = Catalog.load(IMAGES_YAML)
MODELS = [model.name for model in CATALOG.models]
BACKENDS = [backend.name for backend in CATALOG.backends]


def load(text: str, folder: Path) -> Catalog:
    path = folder / "images.yaml"
    path.write_text(text)
    return Catalog.load(path)


def problems(text: str, folder: Path) -> dict[int, list[str]]:
    """Line → messages of what is wrong with *text*."""
    with pytest.raises(CatalogError) as caught:
        load(text, folder)
    found: dict[int, list[str]] = {}
    for problem in caught.value.problems:
        found.setdefault(problem.line, []).append(problem.message)
    return found


def test_every_cell_is_offered_or_says_why_not() -> None:
    cells = [(cell.model.name, cell.backend, cell.device) for cell in CATALOG.cells]
    assert cells == list(itertools.product(MODELS, BACKENDS, CATALOG.devices))
    assert set(CATALOG.devices) == set(Device)
    assert len(CATALOG.specs) + len(CATALOG.absent) == len(cells)
    assert all(cell.reason for cell in CATALOG.absent)


def test_every_cell_has_a_lock() -> None:
    assert all((assets() / "locks" / spec.lock).is_file() for spec in CATALOG.specs)


def test_defaults_are_completed() -> None:
    defaults = {model.name: model.default_backend for model in CATALOG.models}
    assert {name for name, backend in defaults.items() if backend == "pytorch"} == {"rnnt", "dlrm"}
    assert {name for name, backend in defaults.items() if backend == "onnxruntime"} == set(MODELS) - {
        "rnnt",
        "dlrm",
    }


def test_every_official_file_is_of_a_precision_that_its_backend_offers() -> None:
    offered = {(spec.model.name, spec.backend, precision) for spec in CATALOG.specs for precision in spec.precisions}
    listed = {(model.name, file.backend, file.precision) for model in CATALOG.models for file in model.files}
    assert listed <= offered


def test_int8_is_offered_for_bert_on_onnxruntime_only() -> None:
    offering = {(spec.model.name, spec.backend) for spec in CATALOG.specs if Precision.INT8 in spec.precisions}
    assert offering == {("bert", "onnxruntime")}
    assert all(Precision.FP32 in spec.precisions for spec in CATALOG.specs)


def test_a_backend_may_have_a_base_and_an_index_of_its_own_on_one_device() -> None:
    bases = {(spec.backend, spec.device): spec.base.name for spec in CATALOG.specs}
    assert {name for (_, device), name in bases.items() if device is Device.CPU} == {"debian"}
    assert bases["tensorflow", Device.CUDA] == "cuda12"
    assert bases["pytorch", Device.CUDA] == bases["onnxruntime", Device.CUDA] == "cuda"
    own = {spec.variant: spec.own_index for spec in CATALOG.specs}
    assert own["pytorch-cpu"] is not None
    assert own["pytorch-cuda"] is None


def test_a_model_may_need_more_on_one_backend() -> None:
    needs = {spec.backend: spec.model_requirements for spec in CATALOG.specs if spec.model.name == "resnet50"}
    common = needs["onnxruntime"]
    assert common == needs["tensorflow"]
    assert needs["pytorch"][: len(common)] == common
    (more,) = needs["pytorch"][len(common) :]
    assert more.startswith("pillow>=")


def test_scenarios_are_those_of_the_benchmark() -> None:
    scenarios = {model.name: set(model.scenarios) for model in CATALOG.models}
    assert scenarios["resnet50"] == set(Scenario)
    assert scenarios["3d-unet"] == {Scenario.SINGLE_STREAM, Scenario.OFFLINE}
    assert scenarios["dlrm"] == {Scenario.SERVER, Scenario.OFFLINE}


# Each case: what is replaced in the good file, by what, how many lines below that the problem is shown, and what the
# message has to say.
CASES = {
    "unknown key": ("    count: 50000\n", "    cuont: 50000\n", 0, "datasets.imagenet2012.cuont: unknown key"),
    "unknown top-level key": ("registry: ", "colour: red\nregistry: ", 0, "colour: unknown key"),
    "a name where the key is the name": (
        "    title: LibriSpeech",
        "    name: other\n    title: LibriSpeech",
        0,
        "datasets.librispeech-dev-clean.name: unknown key",
    ),
    "duplicate key": ("    count: 50000\n", "    count: 50000\n    count: 7\n", 1, "imagenet2012.count: duplicate key"),
    "duplicate model": ("  dlrm:\n", "  bert: {}\n  dlrm:\n", 0, "models.bert: duplicate key"),
    "wrong type": ("count: 50000", "count: many", 0, "datasets.imagenet2012.count: input should be a valid integer"),
    "list for a mapping": ("  cpu: {base: debian}", "  cpu: [debian]", 0, "devices.cpu: must be a mapping"),
    "number for a string": ('python: "3.12"', "python: 3.12", 0, "bases.cuda.python: input should be a valid string"),
    "a suite of another distribution": (
        '    suite: bookworm\n    python: "3.12"',
        '    suite: noble\n    python: "3.12"',
        0,
        "bases.cuda.suite: noble is no suite of Debian that can stand in: write bookworm or trixie",
    ),
    "a base whose Python has no lock": (
        'python: "3.12"',
        'python: "3.10"',
        0,
        "bases.cuda.python: the locks are for Python 3.11, 3.12, 3.13 (found '3.10')",
    ),
    "a suite whose Python has no lock": (
        'pythons: ["3.11", "3.12", "3.13"]',
        'pythons: ["3.12", "3.13"]',
        10,
        "bases.debian.suite: bookworm has Python 3.11, and the locks are for 3.12, 3.13",
    ),
    "no version of Python": ('"3.12", "3.13"]', '"3.12", "3"]', 0, "pythons[2]: not a version of Python"),
    "a Python of a backend that nothing has": (
        'pythons: ["3.11"]',
        'pythons: ["3.14"]',
        0,
        "backends.pytorch.devices.cpu.pythons[0]: only some of 3.11, 3.12, 3.13 can be chosen",
    ),
    "missing key": ("  rnnt:\n    title: RNN-T\n", "  rnnt:\n", 0, "models.rnnt.title: missing key"),
    "missing device": ("  cpu: {base: debian}\n", "", None, "devices: missing key cpu"),
    "missing section": ("registry: mlperf-docker\n", "", None, "registry: missing key"),
    "a folder that is all of a library": ("[numpy/**/tests]", "[numpy]", 0, "not a folder of a library"),
    "a folder with a pattern": ("[numpy/**/tests]", "[numpy/te.t]", 0, "not a folder of a library"),
    "left out twice": ("[numpy/**/tests]", "[numpy/tests, numpy/tests]", 0, "left_out.numpy[1]: duplicate"),
    "left out of nothing": ("  nibabel: [", "  nibable: [", 0, "left_out.nibable: nothing requires nibable"),
    "dangling data set": (
        "    dataset: kits19\n",
        "    dataset: kits91\n",
        0,
        "models.3d-unet.dataset: datasets has no 'kits91'",
    ),
    "dangling base": (
        "{base: debian}",
        "{base: debain}",
        0,
        "devices.cpu.base: bases has no 'debain'; it has debian, cuda, cuda12",
    ),
    "dangling base of a backend": (
        "base: cuda12",
        "base: cuda11",
        0,
        "backends.tensorflow.devices.cuda.base: bases has no 'cuda11'; it has debian, cuda, cuda12",
    ),
    "a local version that is nowhere": (
        '        index: "https://download.pytorch.org/whl/cpu"\n',
        "",
        1,
        "the public index cannot have torch==2.13.0+cpu: name one in backends.pytorch.devices.cpu.index",
    ),
    "a local version of a model's library": (
        '["opencv-python-headless>=4.11,<5"]',
        '["opencv-python-headless==4.11+own"]',
        0,
        "models.resnet50.requirements[0]: the public index cannot have opencv-python-headless==4.11+own, and only",
    ),
    "bad index": (
        'index: "https://download',
        'index: "file://download',
        0,
        "backends.pytorch.devices.cpu.index: not an address",
    ),
    "unknown backend of a model's library": (
        "backend_requirements: {pytorch",
        "backend_requirements: {torch",
        0,
        "models.resnet50.backend_requirements.torch: backends has no 'torch'; it has onnxruntime, tensorflow, pytorch",
    ),
    "unknown backend": (
        "precisions: {onnxruntime",
        "precisions: {onxruntime",
        0,
        "models.bert.precisions.onxruntime: backends has no 'onxruntime'; it has onnxruntime",
    ),
    "unknown default backend": (
        "    default_backend: pytorch\n",
        "    default_backend: torch\n",
        0,
        "models.rnnt.default_backend: backends has no 'torch'",
    ),
    "unknown backend of a file": ("backend: tensorflow", "backend: keras", 0, "backend: backends has no 'keras'"),
    "unknown device": ("  cpu: {base: debian}", "  gpu: {base: debian}", 0, "devices.gpu: input should be "),
    "a backend without a device": (
        '      cpu:\n        distribution: tensorflow-cpu\n        requirements: ["tensorflow-cpu>=2.20,<3"]\n',
        "",
        -1,
        "backends.tensorflow.devices: missing key cpu: write its requirements, or offered: false and the reason",
    ),
    "not offered for no reason": (
        '        distribution: tensorflow-cpu\n        requirements: ["tensorflow-cpu>=2.20,<3"]\n',
        "        offered: false\n",
        -1,
        "backends.tensorflow.devices.cpu: missing key reason",
    ),
    "not offered, and made of something": (
        "        distribution: tensorflow-cpu\n",
        "        offered: false\n        reason: none\n",
        -1,
        "backends.tensorflow.devices.cpu: requirements of a cell that is not offered",
    ),
    "offered without requirements": (
        '        requirements: ["tensorflow-cpu>=2.20,<3"]\n',
        "",
        -2,
        "backends.tensorflow.devices.cpu: missing key requirements",
    ),
    "a model that offers a cell of its own": (
        "    precisions: {onnxruntime",
        "    cells: {pytorch: {cuda: {offered: true, reason: all}}}\n    precisions: {onnxruntime",
        0,
        "models.bert.cells.pytorch.cuda.offered: input should be False",
    ),
    "a distribution of no requirement": (
        "distribution: onnxruntime-gpu",
        "distribution: onnxruntime-cuda",
        0,
        "backends.onnxruntime.devices.cuda.distribution: no requirement is of onnxruntime-cuda",
    ),
    "unknown scenario": (
        "scenarios: [Server, Offline]",
        "scenarios: [Server, Ofline]",
        0,
        "models.dlrm.scenarios[1]: input should be 'SingleStream'",
    ),
    "no scenario": ("scenarios: [Server, Offline]", "scenarios: []", 0, "models.dlrm.scenarios: "),
    "duplicate scenario": ("[Server, Offline]", "[Server, Server]", 0, "scenarios[1]: duplicate: Server"),
    "bad digest": ("digest: sha256:96e3", "digest: sha256:96e", 0, "bases.debian.digest: not a digest"),
    "bad md5": ("md5: 7b94a2", "md5: 7B94a2", 0, "models.resnet50.files[3].md5: not an MD5 checksum"),
    "bad address": ("https://zenodo.org/record/3939747", "ftp://zenodo.org", 0, "urls[0]: not an address"),
    "no address": (
        'urls: ["https://zenodo.org/record/3939747/files/model.pb"]',
        "urls: []",
        0,
        "models.bert.files[2].urls: tuple should have at least 1 item",
    ),
    "bad format": (
        "format: saved-model",
        "format: savedmodel",
        0,
        "models.3d-unet.files[2].format: tensorflow reads no savedmodel; it reads frozen-graph, saved-model, ",
    ),
    "bad requirement": ("  - numpy>=2.2,<2.5", "  - numpy", 0, "requirements[1]: not a requirement with its versions"),
    "duplicate requirement": ("  - numpy>=2.2,<2.5", "  - mlcommons-loadgen==6.0.17", 0, "requirements[1]: duplicate"),
    "duplicate file": (
        "md5: a638cf028b5870da29e09ccc2f7182e7",
        "md5: f6a4da60cd5f084d97efc2c1ddb10beb",
        -5,
        "models.resnet50.files[1]: duplicate: resnet50_v1.onnx f6a4da60cd5f084d97efc2c1ddb10beb",
    ),
    "target above the reference": (
        "target: 79.4475",
        "target: 89.4475",
        0,
        "models.dlrm.accuracy[0]: a target must not be above the reference",
    ),
    "target below the reference": (
        "reference: 37.55,",
        "sense: at most, reference: 37.55,",
        0,
        "models.retinanet.accuracy[0]: a target must not be below the reference",
    ),
    "reference out of bounds": (
        "reference: 37.55, target: 37.1745",
        "sense: between, reference: 37.55, target: [37.0, 37.5]",
        0,
        "models.retinanet.accuracy[0]: a target must not be away from the reference",
    ),
    "high bounds beyond the others": (
        "reference: 37.55, target: 37.1745",
        "sense: between, reference: 37.55, target: [37.0, 38.0], high_target: [36.9, 37.9]",
        0,
        "models.retinanet.accuracy[0]: a target must not be away from the reference",
    ),
    "between one number": (
        "reference: 37.55,",
        "sense: between, reference: 37.55,",
        0,
        "models.retinanet.accuracy[0]: a target is one number; with `sense: between` it is two",
    ),
    "exact score": (
        "reference: 37.55,",
        "sense: exactly, reference: 37.55,",
        0,
        "models.retinanet.accuracy[0]: only synthetic runs have a value that is known exactly",
    ),
    "unknown sense": (
        "reference: 37.55,",
        "sense: about, reference: 37.55,",
        0,
        "models.retinanet.accuracy[0].sense: input should be 'at least'",
    ),
    "no score": (
        '[{metric: mAP, unit: "%", reference: 37.55, target: 37.1745}]',
        "[]",
        0,
        "models.retinanet.accuracy: a model needs at least one score",
    ),
    "option with other values elsewhere": (
        "        - {name: max-ind-range, help: only the first N rows of each table.}",
        "        - {name: max-ind-range, help: rows, least: 3}\n        - {name: max-ind-range, help: rows}",
        1,
        "models.dlrm.options.run[1]: 'max-ind-range' takes other values in dlrm",
    ),
    "option for a command without": (
        '    requirements: ["soundfile>=0.13,<1"]',
        "    options: {verify: [{name: rows, help: rows}]}",
        0,
        "models.rnnt.options.verify: input should be 'run', 'convert' or 'convert-data'",
    ),
    "bad name of an option": (
        '    requirements: ["soundfile>=0.13,<1"]',
        "    options: {run: [{name: --rows, help: rows}]}",
        0,
        "models.rnnt.options.run[0].name: ",
    ),
    "score twice": (
        '[{metric: mAP, unit: "%", reference: 37.55, target: 37.1745}]',
        '[{metric: mAP, unit: "%", reference: 2, target: 1}, {metric: mAP, unit: "", reference: 2, target: 1}]',
        0,
        "models.retinanet.accuracy[1]: duplicate: mAP is already in this list",
    ),
    "a path out of the folder": (
        "path: data/case_{item}/imaging.nii.gz",
        "path: ../case_{item}/imaging.nii.gz",
        0,
        "datasets.kits19.series[0].path: not a path below the data set's folder",
    ),
    "one path for all": (
        "path: day_{item}.gz",
        "path: day.gz",
        -2,
        "datasets.criteo-terabyte.series[0]: days has files of one name: {item} is not in day.gz",
    ),
    "nothing that differs": (
        "        listed_in: annotations/openimages-mlperf.json\n",
        "",
        -3,
        "datasets.openimages-mlperf.series[0]: images needs either items or listed_in",
    ),
    "checksum of no item": (
        '          "23": a2748b',
        '          "24": a2748b',
        -29,
        "datasets.criteo-terabyte.series[0]: days has no item 24, and its md5s name it",
    ),
    "item's bad checksum": ('"23": a2748b', '"23": A2748b', 0, "series[0].md5s.23: not an MD5 checksum"),
    "duplicate item": ('"10", "11",', '"10", "10",', 0, "series[0].items[11]: duplicate: 10"),
    "members of no archive": (
        "        archive: zip\n",
        "",
        -3,
        "datasets.openimages-mlperf.files[0]: openimages-mlperf_annotations_2.1.json.zip has members",
    ),
    "unknown archive": ("archive: zip", "archive: rar", 0, "files[0].archive: input should be 'tar' or 'zip'"),
    "unknown key of a file": ("account: true", "acount: true", 0, "files[0].acount: unknown key"),
    "not YAML": ("devices:\n", "devices: [\n", None, "not valid YAML"),
    "unknown tag": ("registry: mlperf-docker", "registry: !python/name:os.system x", 0, "not valid YAML"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_problem_is_shown_at_its_line(name: str, tmp_path: Path) -> None:
    old, new, below, message = CASES[name]
    assert old in TEXT
    changed = TEXT.replace(old, new, 1)
    found = problems(changed, tmp_path)
    where = [line for line, messages in found.items() if any(message in each for each in messages)]
    assert where, found
    if below is not None:
        assert where == [TEXT[: TEXT.index(old)].count("\n") + 1 + below]


def without(cell: str, reason: str, folder: Path) -> Catalog:
    """The catalog where *cell*, a backend and a device, is not offered."""
    backend, device = cell.split("-")
    start = TEXT.index(f"      {device}:\n", TEXT.index(f"  {backend}:\n    formats:"))
    end = TEXT.index("requirements: ", start)
    rest = TEXT[TEXT.index("\n", end) + 1 :]
    said = f"      {device}: {{offered: false, reason: {reason}}}\n"
    return load(TEXT[:start] + said + rest, folder)


def test_a_backend_need_not_have_every_device(tmp_path: Path) -> None:
    catalog = without("pytorch-cuda", "no wheels", tmp_path)
    absent = [(cell.model.name, cell.variant, cell.reason) for cell in catalog.absent if cell not in CATALOG.absent]
    assert absent == [(model, "pytorch-cuda", "no wheels") for model in MODELS]
    assert [*map(str, catalog.specs)] == [str(spec) for spec in CATALOG.specs if spec.variant != "pytorch-cuda"]
    assert [*map(str, catalog.cells)] == [*map(str, CATALOG.cells)]


def test_a_model_may_be_without_a_cell_of_its_own(tmp_path: Path) -> None:
    said = "    cells: {pytorch: {cuda: {offered: false, reason: too large}}}\n    loadgen_key: bert\n"
    catalog = load(TEXT.replace("    loadgen_key: bert\n", said, 1), tmp_path)
    (cell,) = [cell for cell in catalog.absent if cell not in CATALOG.absent]
    assert (str(cell), cell.reason) == ("bert:pytorch-cuda", "too large")


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    text = TEXT
    for old, new in [
        ("count: 50000", "count: many"),
        ("dataset: kits19", "dataset: kits91"),
        ("[Server, Offline]", "[Server, Server]"),
        ("digest: sha256:96e3", "digest: sha256:"),
        ("registry: ", "colour: red\nregistry: "),
    ]:
        text = text.replace(old, new, 1)
    with pytest.raises(CatalogError) as caught:
        load(text, tmp_path)
    message = str(caught.value)
    assert "The catalog has 5 problems:" in message
    lines = [int(line) for line in re.findall(r"images\.yaml:(\d+): ", message)]
    assert len(lines) == 5
    assert lines == sorted(lines)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("text", ["", "a: &x [*x]\n", "[]", "1", "\t", "registry: \x00", "? [1]\n: 2\n"])
def test_anything_else_is_refused_without_a_crash(text: str, tmp_path: Path) -> None:
    assert problems(text, tmp_path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_unreadable_file_is_a_usage_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "images.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(str(path))):
        Catalog.load(path)


def test_loading_is_quick() -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        Catalog.load(IMAGES_YAML)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.08
