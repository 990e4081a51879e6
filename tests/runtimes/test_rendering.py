"""Commands of runtimes without a daemon: documented options alone, each mount and each limit."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.engine.plan import BindMount, ContainerUser, Limits, RunPlan
from mlperf_docker.errors import UsageError
from mlperf_docker.names import RuntimeName
from mlperf_docker.runtimes.rendering import KINDS, image_variables

PLAN = RunPlan(
    image="/node/resnet50",
    arguments=("run", "--samples=1"),
    mounts=(
        BindMount(Path("/srv/imagenet"), "/data", read_only=True),
        BindMount(Path("/srv/results"), "/results", read_only=False),
    ),
    surroundings=ContainerUser("1001:1002", tmp_bytes=2**30),
)
VARIABLES = {"HOME": "/tmp", "PATH": "/opt/venv/bin:/bin"}
PROGRAM = ["/opt/venv/bin/python", "-m", "mlperf_docker.harness", "run", "--samples=1"]

DOCUMENTED = {
    # apptainer-exec(1), and `singularity exec --help` of SingularityCE 3.11
    "apptainer exec": "bind cleanenv contain containall cpus cpuset-cpus env memory mount net network no-home no-init"
    " no-privs nv pid pids-limit pwd userns",
    # enroot's doc/cmd/start.md
    "enroot start": "conf env mount rc root rw",
    # srun(1), and the options that pyxis adds to `srun --help`
    "srun": "ntasks nodes container-image container-mounts container-workdir container-name container-save"
    " container-mount-home no-container-mount-home container-remap-root no-container-remap-root container-entrypoint"
    " no-container-entrypoint container-writable container-readonly container-env",
    # `ch-run --help` of Charliecloud 0.31
    "ch-run": "bind cd env-no-expand gid home join no-passwd private-tmp set-env unset-env uid write",
}
"""Options as the runtimes document them."""


def command(name: RuntimeName, plan: RunPlan = PLAN) -> list[str]:
    return KINDS[name].render(plan, VARIABLES)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("gpus", [None, "device=0,2"])
def test_a_rendered_command_has_documented_options_alone(name: RuntimeName, gpus: str | None) -> None:
    words = command(name, replace(PLAN, limits=Limits(gpus=gpus)))
    documented = DOCUMENTED[
        {"singularity": "apptainer exec", "apptainer": "apptainer exec", "enroot": "enroot start", "pyxis": "srun"}.get(
            name, "ch-run"
        )
    ].split()
    start = words.index(KINDS[name].program)
    options = [word for word in words[start:] if word.startswith("--") and word not in ("--", *PROGRAM)]
    assert [word for word in options if word.removeprefix("--").partition("=")[0] not in documented] == []
    assert words[-len(PROGRAM) :] == PROGRAM


@pytest.mark.parametrize(
    ("name", "mounts"),
    [
        (
            RuntimeName.APPTAINER,
            (
                "--mount=type=bind,source=/srv/imagenet,destination=/data,ro",
                "--mount=type=bind,source=/srv/results,destination=/results",
            ),
        ),
        (
            RuntimeName.ENROOT,
            (
                "--mount=tmpfs:/tmp:tmpfs:x-create=dir,size=1073741824",
                "--mount=/srv/imagenet:/data:none:x-create=auto,bind,ro",
                "--mount=/srv/results:/results:none:x-create=auto,bind",
            ),
        ),
        (RuntimeName.PYXIS, ("--container-mounts=/srv/imagenet:/data:ro,/srv/results:/results:rw",)),
        (RuntimeName.CHARLIECLOUD, ("--bind=/srv/imagenet:/data", "--bind=/srv/results:/results")),
    ],
)
def test_mounts_as_a_runtime_takes_them(name: RuntimeName, mounts: tuple[str, ...]) -> None:
    given = (word for word in command(name) if word.partition("=")[0] in ("--mount", "--container-mounts", "--bind"))
    assert tuple(given) == mounts


@pytest.mark.parametrize("name", [RuntimeName.ENROOT, RuntimeName.PYXIS, RuntimeName.CHARLIECLOUD])
def test_a_path_that_a_runtime_would_cut_is_refused(name: RuntimeName) -> None:
    with pytest.raises(UsageError, match="takes no ':' in a path"):
        command(name, replace(PLAN, mounts=(BindMount(Path("/srv/a:b"), "/data", read_only=True),)))


def test_apptainer_takes_any_path_as_a_field_of_csv() -> None:
    words = command(
        RuntimeName.APPTAINER, replace(PLAN, mounts=(BindMount(Path("/srv/a:b,c"), "/data", read_only=True),))
    )
    assert '--mount=type=bind,"source=/srv/a:b,c",destination=/data,ro' in words


@pytest.mark.parametrize("name", KINDS)
def test_variables_of_the_host_stay_outside(name: RuntimeName) -> None:
    words = command(name)
    if name in (RuntimeName.APPTAINER, RuntimeName.SINGULARITY):
        assert {"--cleanenv", "--env=HOME=/tmp", "--env=PATH=/opt/venv/bin:/bin"} <= set(words)
    else:
        start = words.index("/usr/bin/env")
        assert words[start : start + 4] == ["/usr/bin/env", "-i", "HOME=/tmp", "PATH=/opt/venv/bin:/bin"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (RuntimeName.APPTAINER, {"--cpuset-cpus=0-3", "--memory=8589934592", "--cpus=2.0"}),
        (RuntimeName.ENROOT, {"--cpu-list=0-3"}),
        (RuntimeName.CHARLIECLOUD, {"--cpu-list=0-3"}),
    ],
)
def test_limits_that_a_runtime_can_set(name: RuntimeName, words: set[str]) -> None:
    can = KINDS[name].limits
    limits = Limits(cpuset="0-3", memory="8g" if "memory" in can else None, cpus=2.0 if "cpus" in can else None)
    assert words <= set(command(name, replace(PLAN, limits=limits)))


def test_gpus_of_each_runtime() -> None:
    plan = replace(PLAN, limits=Limits(gpus="2"))
    assert {"--nv", "--env=CUDA_VISIBLE_DEVICES=0,1"} <= set(command(RuntimeName.SINGULARITY, plan))
    assert "--env=NVIDIA_VISIBLE_DEVICES=0,1" in command(RuntimeName.ENROOT, plan)
    assert KINDS[RuntimeName.PYXIS].variables(plan)["NVIDIA_VISIBLE_DEVICES"] == "0,1"
    assert not KINDS[RuntimeName.CHARLIECLOUD].has_gpus
    everything = command(RuntimeName.APPTAINER, replace(PLAN, limits=Limits(gpus="all")))
    assert not [word for word in everything if "CUDA_VISIBLE" in word]


def test_the_path_of_an_image_goes_on_with_the_systems() -> None:
    found = image_variables({"PATH": "/opt/venv/bin:${PATH}", "A": "1"})
    assert found["PATH"].startswith("/opt/venv/bin:/usr/local/sbin:")
    assert found["A"] == "1"
