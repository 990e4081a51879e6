"""An image says what is in it, and `verify` finds whatever was done to it afterwards."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.recipe.build_inputs import versions
from mlperf_docker.recipe.render import recipe_of
from tests.cells.tool import Tool
from tests.fixtures.docker_client import api

pytestmark = pytest.mark.engine
SITE = "/opt/venv/lib/python3.11/site-packages"
# What somebody with root in a container might do, one line for each difference that must be named.
TAMPERING = f"""
set -e
echo '# edited' >> /opt/mlperf/mlperf_docker/harness/loadgen/logs.py
rm /opt/mlperf/mlperf_docker/harness/loadgen/suts.py
echo 'print()' > /opt/mlperf/mlperf_docker/harness/backdoor.py
sed -i 's/^Version: .*/Version: 0.0.1/' {SITE}/safetensors-*.dist-info/METADATA
rm -r {SITE}/mlcommons_loadgen-*.dist-info
mkdir {SITE}/surprise-1.0.dist-info
printf 'Metadata-Version: 2.1\\nName: surprise\\nVersion: 1.0\\n' > {SITE}/surprise-1.0.dist-info/METADATA
printf 'surprise-1.0.dist-info/METADATA,,\\nsurprise-1.0.dist-info/RECORD,,\\n' > {SITE}/surprise-1.0.dist-info/RECORD
echo '# edited' >> {SITE}/numpy/__init__.py
echo >> {SITE}/numpy/__pycache__/version.cpython-311.pyc
sed -i '/^Package: zlib1g$/,/^$/s/^Version: .*/Version: 9/' /var/lib/dpkg/status
echo >> /usr/bin/gzip
sed -i 's/^numpy==.*/numpy==1.0 \\\\/' /opt/mlperf/requirements/common.txt
"""


@pytest.fixture
def bert(catalog: Catalog) -> ImageSpec:
    return next(spec for spec in catalog.specs if str(spec) == "bert:onnxruntime-cpu")


@pytest.fixture
def built(tool: Tool) -> str:
    return tool("build", "bert", "--bootstrap-base").stdout.strip()


@pytest.fixture
def changed(client: DockerEngine, built: str) -> Iterator[Any]:
    """Make an image of *built* with a shell script run in it as root, and with other settings; gone afterwards."""
    name = f"mlperf-test-{uuid.uuid4().hex[:8]}"

    def change(script: str, *settings: str) -> str:
        # Entry point, command and user are put back, so that only what is asked for differs.
        config = (client.find_image(built) or {})["Config"]
        container = api(client).create_container(built, entrypoint=["sh", "-c"], command=[script], user="0", name=name)
        api(client).start(container)
        assert api(client).wait(container)["StatusCode"] == 0, api(client).logs(container)
        kept = [f"ENTRYPOINT {json.dumps(config['Entrypoint'])}", "CMD []", f"USER {config['User']}"]
        api(client).commit(container, repository=name, tag="1", changes=[*kept, *settings])
        return f"{name}:1"

    try:
        yield change
    finally:
        client.remove_container(name, force=True)
        api(client).remove_image(f"{name}:1", force=True)


def subjects(verdict: dict[str, Any], kind: str) -> dict[str, str]:
    """Subject → what is said of it, of all differences of one kind."""
    return {each["subject"]: each["text"] for each in verdict["differences"] if each["kind"] == kind}


def test_an_image_that_was_just_built_is_as_it_should_be(
    tool: Tool, built: str, bert: ImageSpec, tmp_path: Path
) -> None:
    (verdict,) = json.loads(tool("verify", "bert", "--json").stdout)
    assert verdict["differences"] == []
    assert (verdict["cell"], verdict["image"]["tag"], verdict["equal"]) == ("bert:onnxruntime-cpu", built, True)
    assert verdict["files"] > 5_000
    written = tmp_path / "bert.cdx.json"
    tool("show", "bert", "--sbom", "--output", str(written))
    text = written.read_text()
    assert tool("show", "bert", "--sbom").stdout == text
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    assert len(components) == verdict["components"]
    listed = {each["name"]: each for each in components if each.get("purl", "").startswith("pkg:pypi/")}
    locked = {canonical(name): version for name, version in versions(recipe_of(bert).inputs).items()}
    assert {name: each["version"] for name, each in listed.items()} == locked
    assert all(each["hashes"] for each in listed.values())
    assert {"python3", "libc6"} <= {each["name"] for each in components if each.get("purl", "").startswith("pkg:deb/")}


def test_whatever_is_done_to_an_image_is_named(tool: Tool, built: str, bert: ImageSpec, changed: Any) -> None:
    image = changed(TAMPERING, "LABEL org.mlperf-docker.backend=pytorch", "ENV MALLOC_MMAP_MAX_=5", "USER 0")
    (verdict,) = json.loads(tool("verify", "bert", "--image", image, "--json", expect=1).stdout)
    locked = {canonical(name): version for name, version in versions(recipe_of(bert).inputs).items()}
    assert subjects(verdict, "hash") == {}
    assert subjects(verdict, "label").keys() == {"org.mlperf-docker.backend"}
    assert subjects(verdict, "setting").keys() == {"MALLOC_MMAP_MAX_", "User"}
    assert subjects(verdict, "lock") == {"numpy": f"numpy: locked {locked['numpy']} today, 1.0 in the image"}
    assert subjects(verdict, "python") == {
        "safetensors": f"safetensors: locked {locked['safetensors']}, installed 0.0.1",
        "mlcommons-loadgen": f"mlcommons-loadgen: locked {locked['mlcommons-loadgen']}, missing",
        "surprise": "surprise: not locked, installed 1.0",
    }
    harness = "/opt/mlperf/mlperf_docker/harness"
    assert subjects(verdict, "harness") == {
        f"{harness}/loadgen/logs.py": f"{harness}/loadgen/logs.py: a file was changed",
        f"{harness}/loadgen/suts.py": f"{harness}/loadgen/suts.py: a file is missing",
        f"{harness}/backdoor.py": f"{harness}/backdoor.py: not a file of the harness",
    }
    files = subjects(verdict, "file")
    assert files[f"{SITE}/numpy/__init__.py"] == f"{SITE}/numpy/__init__.py: a file of numpy was changed"
    assert files["/usr/bin/gzip"] == "/usr/bin/gzip: a file of gzip was changed"
    others = {path for path in files if "safetensors" not in path and "loadgen" not in path}
    assert others == {f"{SITE}/numpy/__init__.py", f"{SITE}/numpy/__pycache__/version.cpython-311.pyc", "/usr/bin/gzip"}
    assert any(path.endswith("METADATA") for path in files)
    assert {name: text.partition(": ")[2] for name, text in subjects(verdict, "sbom").items()} == {
        "safetensors": f"the SBOM says {locked['safetensors']}, installed 0.0.1",
        "mlcommons-loadgen": f"the SBOM says {locked['mlcommons-loadgen']}, not installed",
        "surprise": "not in the SBOM, installed 1.0",
        "zlib1g": subjects(verdict, "sbom")["zlib1g"].partition(": ")[2],
    }
    assert subjects(verdict, "sbom")["zlib1g"].endswith("installed 9")


def test_an_image_of_older_sources_is_told_by_its_hash(tool: Tool, client: DockerEngine, built: str) -> None:
    """Its name alone says what it was made from; another cell's image is not this cell's."""
    (verdict,) = json.loads(tool("verify", "dlrm", "-b", "onnxruntime", "--image", built, "--json", expect=1).stdout)
    assert "today's sources give" in subjects(verdict, "hash")["sources"]
    assert "org.mlperf-docker.cell" in subjects(verdict, "label")
    assert subjects(verdict, "harness").keys() == {"/opt/mlperf/cell.json"}


def test_all_means_those_that_are_here(tool: Tool, built: str) -> None:
    done = tool("verify", "bert", "--all")
    assert f"bert:onnxruntime-cpu: as it should be: {built}" in done.stdout
    assert "Not here: " in done.stderr
    assert "bert:onnxruntime-cuda" in done.stderr
    assert "leave --all out" in tool("verify", "bert", "--all", "--image", built, expect=2).stderr


def test_an_image_that_is_not_here_is_said(tool: Tool) -> None:
    for command in (("verify",), ("show", "--sbom")):
        done = tool(command[0], "retinanet", "-b", "pytorch", *command[1:], expect=2)
        assert "is not on this engine" in done.stderr
        assert "mlperf-docker build retinanet -b pytorch -d cpu" in done.stderr
