"""Waiting for the jobs of a campaign."""

import time
from collections.abc import Callable

from mlperf_docker.campaigns.plan import CampaignPlan
from mlperf_docker.display.progress import Display
from mlperf_docker.errors import ClusterError

_SHORTEST_S, _LONGEST_S = 1.0, 30.0
_SHARE = 50
"""The queue is asked after this part of the time that was waited so far: it serves others, too."""
_RUNS = "runs"


def wait(seen: Callable[[], CampaignPlan], display: Display) -> CampaignPlan:
    """Return the plan when the queue has none of its jobs any more. seen: the plan with its jobs, as they are now.

    A queue that does not answer, as when its controller is restarted, is told of once and asked again.
    """
    display.phase("wait for the jobs")
    told, start = False, time.monotonic()
    while True:
        try:
            plan, told = seen(), False
        except ClusterError as error:
            if not told:
                display.say(f"{error} Asking it again.")
            told = True
        else:
            if not any(run.job is not None and run.job.is_live for run in plan.runs):
                return plan
            display.progress(len(plan.runs) - len(plan.open), len(plan.runs), _RUNS)
        time.sleep(min(max((time.monotonic() - start) / _SHARE, _SHORTEST_S), _LONGEST_S))
