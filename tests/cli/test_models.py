"""`mlperf-docker models` as a command, with a catalog of its own and files from a server on loopback."""

import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Precision
from mlperf_docker.inputs.models import official_files
from mlperf_docker.system.paths import assets
from tests.fakes.web_server import Behaviour, Server, serving
from tests.fixtures.tool_on_catalog import ToolOnCatalog

RANDOM = random.Random(11)  # noqa: S311  # for bytes and moments, not for secrets
CONTENT = RANDOM.randbytes(500_000)
OLDER = RANDOM.randbytes(1000)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Tool(ToolOnCatalog):
    """The command, and the server that its catalog names."""

    server: Server

    @property
    def models(self) -> Path:
        return self.home / "mlperf-docker/models/resnet50"

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json")[0])

    def states(self) -> dict[str, str]:
        return {Path(each["path"]).name: each["state"] for each in self.json("models", "list", "resnet50")}

    def left(self) -> list[str]:
        return sorted(path.name for path in self.models.iterdir())


@pytest.fixture
def tool(tmp_path: Path) -> Iterator[Tool]:
    """ResNet50's files are ours: two of the same name for onnxruntime, one for pytorch."""
    with serving(CONTENT) as server:
        raw = yaml.safe_load((assets() / "images.yaml").read_text())
        # The catalog takes no port in an address of its own; a user's --url may have one. So the mirror is --url here.
        fields = {"precision": "fp32", "urls": ["https://mirror.invalid/resnet50_v1.onnx"]}
        raw["models"]["resnet50"]["files"] = [
            {
                **fields,
                "name": "r.onnx",
                "backend": "onnxruntime",
                "format": "onnx",
                "md5": md5(CONTENT),
                "note": "new",
            },
            {**fields, "name": "r.onnx", "backend": "onnxruntime", "format": "onnx", "md5": md5(OLDER), "note": "old"},
            {**fields, "name": "r.pth", "backend": "pytorch", "format": "state-dict", "md5": md5(CONTENT)},
        ]
        (tmp_path / "catalog").mkdir()
        (tmp_path / "catalog/images.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        yield Tool(tmp_path / "catalog", tmp_path / "home", server)


FETCH = ("models", "fetch", "resnet50")


def test_fetch_list_and_verify(tool: Tool) -> None:
    other = f"r-{md5(OLDER)[:8]}.onnx"
    assert tool.states() == {"r.onnx": "absent", other: "absent", "r.pth": "absent"}
    out, _ = tool(*FETCH, "--url", tool.server.address("r.onnx"))
    assert out == f"{tool.models / 'r.onnx'}\n"
    assert (tool.models / "r.onnx").read_bytes() == CONTENT
    assert tool.states() == {"r.onnx": "verified", other: "absent", "r.pth": "absent"}
    (verdict,) = tool.json("models", "verify", "resnet50")
    assert (verdict["state"], verdict["md5"], verdict["size_bytes"]) == ("verified", md5(CONTENT), len(CONTENT))
    assert "verified" in tool("models", "verify", "resnet50")[0]
    assert tool.left() == ["r.onnx"]


def test_a_file_that_changed_is_seen_and_fetched_again(tool: Tool) -> None:
    tool(*FETCH, "--url", tool.server.address("r.onnx"))
    status = (tool.models / "r.onnx").stat()
    (tool.models / "r.onnx").write_bytes(CONTENT[::-1])
    os.utime(tool.models / "r.onnx", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert tool.states()["r.onnx"] == "present", "same size and time of modification, and not the verified bytes"
    _, err = tool("models", "verify", "resnet50", expect=ExitCode.MODEL_FILE)
    assert md5(CONTENT) in err
    assert md5(CONTENT[::-1]) in err
    assert tool.states()["r.onnx"] == "wrong"
    tool(*FETCH, "--url", tool.server.address("r.onnx"))
    assert tool.states()["r.onnx"] == "verified"


def test_files_of_one_name_are_told_apart(tool: Tool) -> None:
    other = f"r-{md5(OLDER)[:8]}.onnx"
    tool.server.behaviours["/old/r.onnx"] = [Behaviour(content=OLDER)]
    for name in (other, md5(OLDER)[:8]):
        (fetched,) = tool.json(*FETCH, "--file", name, "--url", f"{tool.server.url}/old/")
        assert Path(fetched["path"]) == tool.models / other
    tool.models.joinpath("r.onnx").write_bytes(OLDER)
    _, err = tool("models", "verify", "resnet50", expect=ExitCode.MODEL_FILE)
    assert "it is the official r.onnx (resnet50, onnxruntime, fp32, old)" in err
    (verdict,) = tool.json("models", "verify", str(tool.models / other))
    assert [each["note"] for each in verdict["official"]] == ["old"]


def test_models_verify_identifies_a_file_of_the_users_own(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(CONTENT)
    out, _ = tool("models", "verify", str(tmp_path / "mine"))
    assert "r.onnx (resnet50, onnxruntime, fp32, new); r.pth (resnet50, pytorch, fp32)" in out
    tool("models", "verify", "resnet50", str(tmp_path / "mine"), "-b", "pytorch")
    (tmp_path / "r.pth").write_bytes(CONTENT[:-1])
    _, err = tool("models", "verify", str(tmp_path / "r.pth"), expect=ExitCode.MODEL_FILE)
    assert md5(CONTENT) in err
    assert md5(CONTENT[:-1]) in err
    assert "499,999 bytes" in err
    _, err = tool("models", "verify", "bert", str(tmp_path / "mine"), expect=ExitCode.MODEL_FILE)
    assert "no official file known here" in err
    assert "no model file at" in tool("models", "verify", str(tmp_path / "no.onnx"), expect=ExitCode.MODEL_FILE)[1]


def test_the_checksum_of_a_model_in_several_files_is_of_all_of_them(tool: Tool, tmp_path: Path) -> None:
    name = "m" * 200  # the length takes two bytes
    metadata = b"r\x10\n\x08location\x12\x04here"
    entries = b"j\xd5\x01\n\x08location\x12\xc8\x01" + name.encode() + b" j\x0d\n\x08location\x12\x01b"
    (tmp_path / "m.onnx").write_bytes(b"graph" + metadata + entries)
    for each in ("b", name):
        (tmp_path / each).write_bytes(each.encode())
    lines = [
        f"{hashlib.sha256((tmp_path / each).read_bytes()).hexdigest()}  {each}\n" for each in ("b", "m.onnx", name)
    ]
    _, err = tool("models", "verify", str(tmp_path / "m.onnx"), expect=ExitCode.MODEL_FILE)
    assert f"in 3 files) has sha256 {hashlib.sha256(''.join(lines).encode()).hexdigest()}" in err
    (tmp_path / "b").unlink()
    _, err = tool("models", "verify", str(tmp_path / "m.onnx"), expect=ExitCode.MODEL_FILE)
    assert "has a part in" in err
    (tmp_path / "m.onnx").write_bytes(b"j\x10\n\x08location\x12\x04../b")
    _, err = tool("models", "verify", str(tmp_path / "m.onnx"), expect=ExitCode.MODEL_FILE)
    assert "from outside its folder: '../b'" in err


def test_models_commands_refuse_odd_files_at_once(tool: Tool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.onnx")
    (tmp_path / "endless.onnx").symlink_to("/dev/zero")
    (tmp_path / "circle.onnx").symlink_to("circle.onnx")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "empty.onnx").touch()
    for path in sorted(tmp_path.glob("*.onnx")):
        for words in (
            ("verify", path),
            ("convert", "resnet50", "--model-file", path, "--to", tmp_path / "w.safetensors"),
        ):
            _, err = tool("models", *map(str, words), expect=ExitCode.MODEL_FILE)
            assert "model file" in err


def test_all_goes_on_after_a_file_that_cannot_be_had(tool: Tool) -> None:
    for path in ("r.onnx", "r.pth"):
        tool.server.address(f"m/{path}")
    out, err = tool(*FETCH, "--all", "--url", f"{tool.server.url}/m/", expect=ExitCode.MODEL_FILE)
    assert out.splitlines() == [str(tool.models / name) for name in ("r.onnx", "r.pth")]
    assert md5(OLDER) in err
    assert tool.left() == ["r.onnx", "r.pth"]


def test_models_fetch_takes_another_folder_that_exists(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    out, _ = tool(*FETCH, "-b", "pytorch", "--to", str(tmp_path / "to"), "--url", tool.server.address("x"))
    assert out == f"{tmp_path / 'to' / 'r.pth'}\n"
    missing = tool(*FETCH, "--to", str(tmp_path / "no"), "--url", tool.server.address("x"), expect=ExitCode.USAGE)[1]
    assert f"mkdir -p {tmp_path / 'no'}" in missing
    assert "not writable" in tool(*FETCH, "--to", "/proc/sys", expect=ExitCode.USAGE)[1]


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("resnet5",), "Did you mean resnet50?", ExitCode.USAGE),
        (("resnet50", "-b", "torch"), "Did you mean pytorch?", ExitCode.USAGE),
        (("resnet50", "-p", "int4"), "Did you mean int8?", ExitCode.USAGE),
        (("resnet50", "--file", "r.onx"), "Did you mean r.onnx?", ExitCode.USAGE),
        (("resnet50", "--url", "mirror"), "--url is no address", ExitCode.USAGE),
        (("resnet50", "--all", "--url", "http://mirror/r.onnx"), "slash at its end", ExitCode.USAGE),
        (("resnet50", "--all", "--file", "r.onnx"), "exclude each other", ExitCode.USAGE),
        (("resnet50", "-b", "tensorflow"), "models convert resnet50", ExitCode.MODEL_FILE),
        (("resnet50", "-p", "int8"), "Give your own", ExitCode.MODEL_FILE),
        (("resnet50", "--url", "http://127.0.0.1:9/r"), "Connection refused", ExitCode.MODEL_FILE),
    ],
)
def test_a_model_that_cannot_be_fetched_is_an_error_with_the_reason(
    tool: Tool, arguments: tuple[str, ...], said: str, code: ExitCode
) -> None:
    out, err = tool("models", "fetch", *arguments, expect=code)
    assert said in err
    assert out == ""


def test_nothing_to_verify(tool: Tool) -> None:
    assert "nothing to verify" in tool("models", "verify", "resnet50", expect=ExitCode.MODEL_FILE)[1]
    assert tool("models", "verify")[0] == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_models_fetch_goes_on_after_an_interruption(tool: Tool, number: signal.Signals) -> None:
    """15 times each: whatever is left is a beginning of the file, and the next fetch ends with it and nothing else."""
    kept = 0
    for _ in range(15):
        slow = tool.server.address("r.onnx", Behaviour(seconds_a_piece=0.004))
        before = len(tool.server.seen)
        process = tool.start(*FETCH, "--url", slow)
        while len(tool.server.seen) == before and process.poll() is None:
            time.sleep(0.002)
        time.sleep(RANDOM.uniform(0, 0.3))
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=30)
        if process.returncode not in (130, -signal.SIGKILL):  # too late: it was leaving, with the file in its place
            assert tool.left() == ["r.onnx"], err
        assert "Traceback" not in err
        assert set(tool.left()) <= {"r.onnx", "r.onnx.partial", "r.onnx.partial.json"}
        if "r.onnx.partial" in tool.left():
            partial = (tool.models / "r.onnx.partial").read_bytes()
            assert CONTENT.startswith(partial)
            kept += bool(partial)
            if number is signal.SIGINT:
                assert "the same command goes on from there" in err
        (fetched,) = tool.json(*FETCH, "--url", tool.server.address("r.onnx"))
        assert (tool.models / "r.onnx").read_bytes() == CONTENT
        assert tool.left() == ["r.onnx"]
        assert fetched["verified"]
        (tool.models / "r.onnx").unlink()
    assert kept > 5, "most of the moments were in the middle of the file"


def test_a_run_takes_the_first_file_that_is_here(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tool.home))
    specs = Catalog.load(tool.catalog / "images.yaml").specs
    spec = next(each for each in specs if str(each) == "resnet50:onnxruntime-cpu")
    tool.models.mkdir(parents=True)
    older = tool.models / f"r-{md5(OLDER)[:8]}.onnx"
    older.write_bytes(OLDER)
    assert official_files.locate(spec, Precision.FP32, None) == older
    (tool.models / "r.onnx").write_bytes(CONTENT)
    assert official_files.locate(spec, Precision.FP32, None) == tool.models / "r.onnx"
