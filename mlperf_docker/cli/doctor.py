"""`mlperf-docker doctor`."""

from dataclasses import asdict

import typer

from mlperf_docker.cli.options import JsonOutput
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json


def doctor(*, as_json: JsonOutput = False) -> None:
    """Check this host: engine, BuildKit, GPU runtime, runtimes, disk, memory, network. Exits 3 if nothing could run."""
    from mlperf_docker.maintenance.doctor import Severity, check_all
    from mlperf_docker.runtimes.found import with_runtimes

    checks = with_runtimes(check_all())
    if as_json:
        streams.out(strict_json.dumps([asdict(check) for check in checks]))
    else:
        for check in checks:
            streams.out(f"{check.level:<5} {check.name + ':':<15} {check.finding}")
            if check.remedy:
                streams.out(f"{'':<22}{check.remedy}")
    if any(check.level is Severity.FAIL for check in checks):
        raise typer.Exit(ExitCode.ENGINE)
