"""Search for the best options of a cell in a scenario, as a generator that asks for trials.

Pure: no engine, no clock. It goes on from stored trials by being given them again in their order.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from statistics import geometric_mean

from mlperf_docker.contract.words import Scenario
from mlperf_docker.runs.profile import TunedOptions
from mlperf_docker.tuning import layouts
from mlperf_docker.tuning.peak import FIRST_SHARE, Ask, Peak, PeakSearch
from mlperf_docker.tuning.trials import EndedTrial, Purpose, Trial

ROUNDS = ((1.0, 0.85), (2.0, 0.95))
"""Rounds of layouts: length of a trial in short ones, and share of the best figure that is good enough for the next."""
WORTH = 1.02
"""By how many times something has to be better than the default in short trials for others to be made."""
PAIRS, MOST_WORSE = 3, 1
"""Pairs in which something has to be better than the default; where it is not in one, three more are made."""
PAIR_LENGTH = 3.0
"""Length of a trial of a pair, in short ones."""
GAIN = 1.01
"""Least gain by which something replaces the default: less is not told apart from noise."""
BATCH_STEPS = 3
TOO_SLOW = 2.0
"""Times the bound that a sample takes where no rate will do: Server runs of such systems would take hours."""

Asking = Generator[Trial, EndedTrial, "Verdict"]
_DEFAULT = TunedOptions()


@dataclass(frozen=True)
class TuningPlan:
    """Plan of a tuning."""

    scenario: Scenario
    full_s: float
    """Length of a run that counts."""
    short_s: float
    fixed: TunedOptions = _DEFAULT
    """Options that the user gave, which are not searched."""
    accelerator: bool = False
    """Whether the device is one, where threads matter little."""
    start_qps: float | None = None
    """Server: first rate to try."""
    bound_s: float | None = None
    """Server's bound on latency, as far as it is known beforehand."""

    @property
    def layout_is_given(self) -> bool:
        """Whether the user chose instances or threads."""
        return self.fixed.instances is not None or self.fixed.threads_per_instance is not None


@dataclass(frozen=True)
class Verdict:
    """Outcome: the best options, their figure, and by how many times it is better than the default's."""

    options: TunedOptions
    figure: float | None = None
    gain: float | None = None
    why: str = ""
    """Why there is nothing better than the default, or nothing at all."""


def search(plan: TuningPlan) -> Asking:
    """Search by *plan*: ask for trials, be sent what each came to, and return the verdict."""
    return _server(plan) if plan.scenario is Scenario.SERVER else _fastest(plan)


def so_far(plan: TuningPlan, tried: Sequence[EndedTrial]) -> Verdict | None:
    """What is confirmed already of a search that was not ended: Server's highest rate that a full trial held."""
    held = [each for each in tried if each.trial.full and each.valid]
    if plan.scenario is not Scenario.SERVER or not held:
        return None
    return _peak_verdict(plan, _default_of(tried), max(held, key=_rate), "the search was not ended")


def _default_of(tried: Sequence[EndedTrial]) -> EndedTrial:
    """The default Server run."""
    found = (each for each in tried if each.trial.purpose is Purpose.DEFAULT and each.trial.scenario is Scenario.SERVER)
    return next(found, tried[0])


def _fastest(plan: TuningPlan) -> Asking:
    """Search for what is best in the scenario itself, and hold it against the default, one after the other."""
    default = yield from _short(plan, Purpose.DEFAULT, plan.fixed)
    best = yield from _layout(plan, default)
    if plan.scenario is Scenario.OFFLINE and plan.fixed.batch_size is None:
        best = yield from _batch(plan, best)
    if best is default:
        return Verdict(plan.fixed, default.figure, 1.0, "in short trials nothing was faster than the default")
    return (yield from _paired(plan, best.trial.options))


def _short(
    plan: TuningPlan, purpose: Purpose, options: TunedOptions, length: float = 1.0
) -> Generator[Trial, EndedTrial, EndedTrial]:
    seconds = min(plan.full_s, length * plan.short_s)
    return (yield Trial(purpose=purpose, scenario=plan.scenario, options=options, min_duration_s=seconds))


def _layout(plan: TuningPlan, default: EndedTrial) -> Generator[Trial, EndedTrial, EndedTrial]:
    """Halve the layouts in rounds; return the trial of the best one, or the default's where none is clearly better."""
    left = [] if plan.layout_is_given else [_with(plan.fixed, each) for each in _layouts(plan, default)]
    tried = [default]
    for length, share in ROUNDS:
        for options in left:
            end = yield from _short(plan, Purpose.LAYOUT, options, length)
            tried.append(end)
        best = max(tried, key=_score)
        left = [each.trial.options for each in tried if each is not default and _score(each) >= share * _score(best)]
        if len(left) <= 1:
            break
        tried = []
    return best if _score(best) >= WORTH * _score(default) else default


def _layouts(plan: TuningPlan, default: EndedTrial) -> tuple[TunedOptions, ...]:
    if plan.accelerator:
        return layouts.on_accelerators(plan.scenario, default.instances or 1)
    return layouts.on_processors(plan.scenario, (default.instances or 1) * (default.threads or 1))


def _batch(plan: TuningPlan, best: EndedTrial) -> Generator[Trial, EndedTrial, EndedTrial]:
    """Double the batch as long as that is faster, else halve it."""
    for factor in (2.0, 0.5):
        for _ in range(BATCH_STEPS):
            size = round((best.batch_size or 0) * factor)
            if size < 1:
                break
            tried = yield from _short(plan, Purpose.BATCH, _with(best.trial.options, TunedOptions(batch_size=size)))
            if _score(tried) < WORTH * _score(best):
                break
            best = tried
        if best.trial.purpose is Purpose.BATCH:
            break
    return best


def _paired(plan: TuningPlan, options: TunedOptions) -> Asking:
    """Run the default and *options* in turn, ABBAAB: these replace it if they are better in pair after pair."""
    theirs: list[EndedTrial] = []
    ours: list[EndedTrial] = []
    ratios: list[float] = []
    while len(ratios) < PAIRS + 3 * _worse(ratios) and _worse(ratios) <= MOST_WORSE:
        for each in (plan.fixed, options) if len(ratios) % 2 == 0 else (options, plan.fixed):
            end = yield from _short(plan, Purpose.PAIR, each, PAIR_LENGTH)
            (ours if each == options else theirs).append(end)
        ratios.append(_score(ours[-1]) / _score(theirs[-1]) if _score(theirs[-1]) else 0.0)
    gain = geometric_mean(ratios) if min(ratios) > 0 else 0.0
    if gain >= GAIN and _worse(ratios) <= MOST_WORSE and any(each.valid for each in ours):
        return Verdict(options, _mean(ours), gain)
    why = f"in {len(ratios)} pairs nothing was faster than the default beyond noise"
    return Verdict(plan.fixed, _mean(theirs), 1.0, why)


def _worse(ratios: Sequence[float]) -> int:
    return sum(ratio <= 1 for ratio in ratios)


def _server(plan: TuningPlan) -> Asking:
    """Search for the highest rate: with the default layout, and with Offline's best one if that is another."""
    offline = replace(plan, scenario=Scenario.OFFLINE, fixed=plan.fixed.model_copy(update={"target_latency_ms": None}))
    usual = yield from _short(offline, Purpose.DEFAULT, offline.fixed)
    sample_s = (usual.instances or 1) / usual.figure if usual.figure else 0.0
    if plan.bound_s is not None and sample_s > TOO_SLOW * plan.bound_s:
        why = f"a sample takes {sample_s:.3g} s and the bound on latency is {plan.bound_s:.3g} s"
        return Verdict(plan.fixed, why=f"{why}: try --target-latency, or another scenario")
    default = yield from _short(plan, Purpose.DEFAULT, plan.fixed)
    best = yield from _layout(offline, usual)
    batch = TunedOptions(batch_size=plan.fixed.batch_size or default.batch_size)
    searches = {_with(plan.fixed, batch): _peak_search(plan, usual)}
    if best is not usual:
        searches[_with(plan.fixed, best.trial.options)] = _peak_search(plan, best)
    tried: dict[TunedOptions, list[EndedTrial]] = {options: [] for options in searches}
    estimates = dict.fromkeys(searches, 0.0)
    for options, peak in searches.items() if len(searches) > 1 else ():
        found = yield from _rates(replace(peak, only_short=True), options, tried[options])
        estimates[options] = found.qps or 0.0
    chosen = max(estimates, key=lambda each: estimates[each])
    end = yield from _rates(searches[chosen], chosen, tried[chosen])
    if end.qps is None:
        return Verdict(plan.fixed, why=end.why)
    confirmed = next(each for each in tried[chosen] if each.trial.full and each.valid and _rate(each) == end.qps)
    return _peak_verdict(plan, default, confirmed, "")


def _peak_search(plan: TuningPlan, offline: EndedTrial) -> PeakSearch:
    known = offline.figure
    return PeakSearch(plan.start_qps or FIRST_SHARE * (known or 1.0), plan.full_s, known)


def _rates(search: PeakSearch, options: TunedOptions, tried: list[EndedTrial]) -> Generator[Trial, EndedTrial, Peak]:
    """Search for the peak with *options*, and add each trial to *tried*."""
    while isinstance(step := search.step([each.rated() for each in tried]), Ask):
        trial = Trial(
            purpose=Purpose.FULL if step.full else Purpose.RATE,
            scenario=Scenario.SERVER,
            options=_with(options, TunedOptions(target_qps=step.qps)),
            min_duration_s=None if step.full else search.short_s(step.qps),
        )
        tried.append((yield trial))
    return step


def _peak_verdict(plan: TuningPlan, default: EndedTrial, confirmed: EndedTrial, why: str) -> Verdict:
    """The verdict on a rate that was confirmed, beside what the default run asks for by itself."""
    known = default.figure if default.valid else None
    if known is not None and confirmed.figure is not None and confirmed.figure < known:
        return Verdict(plan.fixed, known, 1.0, "no rate above that of a default run was confirmed")
    gain = confirmed.figure / known if known and confirmed.figure else None
    return Verdict(confirmed.trial.options, confirmed.figure, gain, why)


def _with(options: TunedOptions, more: TunedOptions) -> TunedOptions:
    return options.model_copy(update=more.given())


def _score(each: EndedTrial) -> float:
    """What is better where it is more: a rate, or one over a latency; 0 where there is no figure."""
    if not each.figure:
        return 0.0
    return each.figure if each.trial.scenario.higher_is_better else 1 / each.figure


def _rate(each: EndedTrial) -> float:
    return each.trial.options.target_qps or 0.0


def _mean(trials: Sequence[EndedTrial]) -> float | None:
    figures = [each.figure for each in trials if each.figure]
    return geometric_mean(figures) if figures else None
