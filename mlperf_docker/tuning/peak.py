"""Search for Server's peak: the highest rate at which the 99th percentile of latency stays within its bound.

Pure: from the trials so far to the next one, or the end. A search that was interrupted goes on from the stored trials.

The reciprocal of p99 is interpolated: in an M/M/1 queue it is linear in the rate, with its zero at the capacity, and
near the crossing it is nearly so in others. Short trials bracket the peak. From then on trials are as long as a run
that counts, so that each of them confirms a rate, or says by how much the next one has to be lower or higher.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, pow, sqrt  # noqa: A004  # of floats alone

ABORT_FACTOR = 4.0
"""Queries waiting for so many times the bound at the rate asked for: the trial is hopeless, and LoadGen ends it."""
FIRST_SHARE = 0.7
"""Share of Offline's rate that the first trial asks for."""
NARROW = 1.06
"""Quotient of failing and holding rate from which on short trials tell nothing more."""
MOST_SHORT = 6
GROWTH, SHRINKAGE = 1.5, 0.4
"""Largest steps outside a bracket."""
NEAR_OFFLINE = 0.98
"""Share of Offline's rate, which is the capacity, from which on short trials that hold tell nothing more."""
INSIDE = 0.12
"""Share of a bracket, in logarithms, that the next rate keeps from its ends."""
SLOPES = (0.3, 40.0)
"""Range of -d(bound/p99)/d(ln rate) at the crossing: a system far from its capacity, and one at its edge."""
USUAL_SLOPE = 4.0
FAR = 0.06
"""Distance, in logarithms, from which on a short trial tells something of the slope."""
FULLEST = 0.96
"""Largest load for which a slope is reckoned from the capacity, which is not known so exactly."""
LEAST_STEP, LARGEST_STEP = 0.008, 0.3
"""Smallest and largest step after a confirmation. The smallest doubles with each one that failed."""
SAFETY = 0.002
"""Share of a rate by which confirmations keep below what was estimated."""
FALL = 0.9
"""Share of rate and of headroom that are hardly less."""
IDLE = 0.02
"""Queries in the system at a time, at the bound: with fewer no query waits for another, so a lower rate is no help."""
PENALTY = 5.05
"""Of n queries early stopping wants a share of 0.01 - 2.33 √(0.0099 / n) late at most. Where latencies have an
exponential tail, p99 is below its bound by PENALTY / √n then."""
LEAST_QUERIES = 1001
"""Queries of a Server run, however short."""
PATIENCE, LEAST_PATIENCE_S = 2.0, 60.0
"""Longest trial: so many times a full one, but at least a minute."""
SHORT_QUERIES = 3000
"""Queries of a short trial: p99 of fewer says little."""
SHORT_SHARES = (1 / 20, 1 / 4)
"""Least and greatest length of a short trial, as a share of a full one."""


@dataclass(frozen=True)
class Ask:
    """Trial to make: Server at *qps*."""

    qps: float
    full: bool = False
    """Whether it is as long as a run that counts."""


@dataclass(frozen=True)
class Rated:
    """Trial of a rate, and what it came to."""

    qps: float
    full: bool
    valid: bool
    """LoadGen's verdict."""
    p99_ns: float | None
    bound_ns: float | None
    aborted: bool = False
    """Whether LoadGen ended it early, with too many queries waiting."""

    @property
    def headroom(self) -> float:
        """The bound over p99, less one: above 0 where the bound is kept; -1 where latency has no end."""
        if self.aborted or not self.p99_ns or not self.bound_ns:
            return 1 / (2 * ABORT_FACTOR) - 1
        return self.bound_ns / self.p99_ns - 1

    @property
    def holds(self) -> bool:
        """Whether the rate may be held: of a full trial LoadGen's verdict, of a short one p99 alone."""
        return self.valid if self.full else self.headroom >= 0


@dataclass(frozen=True)
class Peak:
    """End of a search: the highest rate that a full trial confirmed, or None with the reason."""

    qps: float | None
    why: str = ""


Step = Ask | Peak


@dataclass(frozen=True)
class PeakSearch:
    """Search for a peak."""

    start_qps: float
    """First rate to try."""
    full_s: float
    """Length of a full trial."""
    offline_qps: float | None = None
    """What Offline gave, if it was measured."""
    accuracy: float = 0.012
    """Largest share that a confirmed rate may lie below the peak, as far as trials tell."""
    most: int = 11
    """Most trials of a rate."""
    only_short: bool = False
    """Whether to end with an estimate where confirmations would begin."""

    def step(self, tried: Sequence[Rated]) -> Step:
        """Return the next trial after *tried*, or the end."""
        step = self._step(tried)
        return Peak(step.qps) if self.only_short and isinstance(step, Ask) and step.full else step

    @property
    def least_qps(self) -> float:
        """The rate at which the fewest queries of a trial take as long as anyone will wait."""
        return LEAST_QUERIES / max(PATIENCE * self.full_s, LEAST_PATIENCE_S)

    def _step(self, tried: Sequence[Rated]) -> Step:
        facts = _Facts(tuple(tried), self.full_s)
        if not tried:
            return Ask(max(self.start_qps, self.least_qps))
        if facts.hopeless:
            return Peak(None, "a single query takes longer than the bound")
        if len(tried) >= self.most:
            return Peak(facts.confirmed, "" if facts.confirmed else f"no rate of {len(tried)} trials was confirmed")
        if any(each.full for each in tried):
            return self._next_full(facts)
        if facts.low is None or facts.high is None:
            return self._outside(facts)
        if facts.high.qps / facts.low.qps > NARROW and len(tried) < MOST_SHORT:
            return Ask(facts.inside(facts.low, facts.high))
        return Ask(facts.crossing(facts.low, facts.high) * (1 - SAFETY), full=True)

    def short_s(self, qps: float) -> float:
        """The length of a short trial at *qps*."""
        least, most = (share * self.full_s for share in SHORT_SHARES)
        return min(max(SHORT_QUERIES / qps, least), most)

    def _outside(self, facts: "_Facts") -> Step:
        """The next trial where all so far hold, or none does."""
        if facts.low is None:
            lowest = min(facts.tried, key=lambda each: each.qps)
            if lowest.qps <= self.least_qps:
                return Peak(
                    None, f"no rate down to {lowest.qps:.3g} queries/s keeps the bound; lower ones take too long"
                )
            share = SHRINKAGE if lowest.aborted else SHRINKAGE / 2 if facts.at_floor else 1 + lowest.headroom
            return Ask(max(self.least_qps, lowest.qps * min(0.9, max(SHRINKAGE / 2, share))))
        top = facts.low
        if self.offline_qps is None:
            return Ask(top.qps * min(GROWTH, 1.02 + top.headroom))
        if top.qps >= NEAR_OFFLINE * self.offline_qps:
            return Ask(top.qps, full=True)
        share = top.headroom / (1 + top.headroom)
        return Ask(min(max(top.qps + share * (self.offline_qps - top.qps), top.qps * 1.03) * 1.01, top.qps * GROWTH))

    def _next_full(self, facts: "_Facts") -> Step:
        """The next confirmation: higher where there is room above one that held, lower after one that failed."""
        held, failed = facts.best_full, facts.worst_full
        if held is None:
            return Ask(self._below(facts, failed or facts.tried[-1]), full=True)
        room = facts.gap(held) / facts.slope(held, self.offline_qps)
        if failed is not None:
            narrow = failed.qps <= held.qps * (1 + self.accuracy)
            return Peak(held.qps) if narrow or room <= SAFETY else Ask(facts.inside(held, failed), full=True)
        if room <= self.accuracy:
            return Peak(held.qps)
        return Ask(held.qps * (1 + min(LARGEST_STEP, room - SAFETY)), full=True)

    def _below(self, facts: "_Facts", failed: Rated) -> float:
        """The next rate after a confirmation that failed, none having held: by at least a step that doubles."""
        least = LEAST_STEP * 2.0 ** (sum(each.full for each in facts.tried) - 1)
        most = failed.qps * (1 - min(LARGEST_STEP, least))
        low = facts.low
        if low is not None and low.qps < most:
            return min(most, facts.inside(low, failed))
        down = SAFETY - facts.gap(failed) / facts.slope(failed, self.offline_qps)
        return min(most, failed.qps * (1 - min(LARGEST_STEP, down)))


@dataclass(frozen=True)
class _Facts:
    """Facts that trials tell together. Full ones overrule short ones."""

    tried: tuple[Rated, ...]
    full_s: float

    @property
    def best_full(self) -> Rated | None:
        """The highest rate that was confirmed."""
        return max((each for each in self.tried if each.full and each.holds), key=lambda each: each.qps, default=None)

    @property
    def worst_full(self) -> Rated | None:
        """The lowest rate above it whose confirmation failed."""
        above = self.best_full.qps if self.best_full else 0.0
        failed = (each for each in self.tried if each.full and not each.holds and each.qps > above)
        return min(failed, key=lambda each: each.qps, default=None)

    @property
    def confirmed(self) -> float | None:
        """The highest rate that was confirmed."""
        return self.best_full.qps if self.best_full else None

    @property
    def low(self) -> Rated | None:
        """The highest rate below all that fail."""
        limit = min((each.qps for each in self.tried if not each.holds), default=inf)
        return max(
            (each for each in self.tried if each.holds and each.qps < limit), key=lambda each: each.qps, default=None
        )

    @property
    def high(self) -> Rated | None:
        """The lowest rate that fails."""
        return min((each for each in self.tried if not each.holds), key=lambda each: each.qps, default=None)

    @property
    def hopeless(self) -> bool:
        """Whether a rate fails at which no query waits for another."""
        return any(
            not each.holds and not each.aborted and each.bound_ns is not None and each.qps * each.bound_ns / 1e9 < IDLE
            for each in self.tried
        )

    @property
    def at_floor(self) -> bool:
        """Whether p99 hardly fell with the rate, as it is mostly the time of a single query."""
        ended = sorted((each for each in self.tried if not each.aborted), key=lambda each: each.qps)
        return len(ended) > 1 and ended[0].qps < FALL * ended[1].qps and ended[0].headroom < FALL * ended[1].headroom

    def gap(self, trial: Rated) -> float:
        """The headroom of *trial* beyond what early stopping wants of a full one."""
        return trial.headroom - PENALTY / sqrt(trial.qps * self.full_s)

    def crossing(self, low: Rated, high: Rated) -> float:
        """The rate between the two that a full trial would just hold."""
        above, below = max(0.0, self.gap(low)), min(0.0, self.gap(high))
        return low.qps if above <= below else low.qps + (high.qps - low.qps) * above / (above - below)

    def inside(self, low: Rated, high: Rated) -> float:
        """The same, but not too near to either."""
        width = pow(high.qps / low.qps, INSIDE)
        return min(max(self.crossing(low, high), low.qps * width), high.qps / width)

    def slope(self, about: Rated, capacity: float | None) -> float:
        """The loss of headroom per relative increase of the rate, near *about*.

        From the nearest full trial; else the smaller one, which leaves more room to try, of what the capacity tells, as
        in an M/M/1 queue, and a short trial far enough away for its chances not to matter.
        """
        near = self._nearest(about, LEAST_STEP, full=True)
        if near is not None:
            return self._between(about, near)
        load = min(FULLEST, about.qps / capacity) if capacity is not None else 0.0
        far = self._nearest(about, FAR, full=False)
        known = [*([load / (1 - load)] if load else []), *([self._between(about, far)] if far else [])]
        return min(known, default=USUAL_SLOPE)

    def _between(self, about: Rated, near: Rated) -> float:
        least, most = SLOPES
        return min(most, max(least, (about.headroom - near.headroom) / log(near.qps / about.qps)))

    def _nearest(self, about: Rated, least: float, *, full: bool) -> Rated | None:
        """The trial nearest to *about*, but not nearer than *least*, that ran to its end."""
        others = [each for each in self.tried if each.full is full and not each.aborted]
        apart = {abs(log(each.qps / about.qps)): each for each in others}
        return min(
            ((far, each) for far, each in apart.items() if far > least), key=lambda pair: pair[0], default=(0, None)
        )[1]
