"""Layouts: how many instances of the model, of how many threads each, are worth a trial on so many processors."""

from mlperf_docker.contract.words import Scenario
from mlperf_docker.runs.profile import TunedOptions

_APART = 1.6
"""Quotient of two numbers of instances that are both worth a trial."""
_COPIES = (2, 4)
"""Times the default number of instances on accelerators, where threads matter little."""


def divisors(number: int) -> list[int]:
    """The divisors of *number*, ascending, without those that are near to the one before; 1 and *number* among them."""
    found = [1]
    for each in range(2, number):
        if number % each == 0 and each >= _APART * found[-1] and number >= _APART * each:
            found.append(each)
    return found if number == 1 else [*found, number]


def on_processors(scenario: Scenario, processors: int) -> tuple[TunedOptions, ...]:
    """Layouts beside the default, which is one instance of as many threads as there are *processors*.

    Offline and Server: as many threads in all as processors; and one instance of half as many, where two processors are
    one core. In the other scenarios there is one query at a time, and so one instance.
    """
    fewer = [TunedOptions(instances=1, threads_per_instance=processors // 2)] if processors > 1 else []
    if scenario in (Scenario.OFFLINE, Scenario.SERVER):
        several = [count for count in divisors(processors) if count > 1]
        return (*(TunedOptions(instances=n, threads_per_instance=processors // n) for n in several), *fewer)
    return tuple(TunedOptions(threads_per_instance=count) for count in divisors(processors)[:-1])


def on_accelerators(scenario: Scenario, instances: int) -> tuple[TunedOptions, ...]:
    """Layouts beside the default of so many *instances*."""
    several = scenario in (Scenario.OFFLINE, Scenario.SERVER)
    return tuple(TunedOptions(instances=instances * times) for times in _COPIES) if several else ()
