"""reports/paper/protocol.md: its table says what its rule does."""

import re

import numpy as np
import pytest
from scipy.stats import t

from tests.small import ROOT

TEXT = (ROOT / "reports/paper/protocol.md").read_text(encoding="utf-8")
ROWS = [
    [float(cell) for cell in re.findall(r"[\d.]+", line)]
    for line in TEXT.splitlines()
    if re.match(r"\| [\d.]+ \| [\d.]+ \| [\d.]+ %", line)
]
SEEDS, SETS, BOUND, ROUNDING = 5, 10, 5.5, 0.5
SET_SD = 1.0  # nats, from one set of samples to the next
TEST_SE, PAPER_SE = 2.3, 2.0  # nats, as the rule before counted them
TIMES = 20_000


def answers(gap, seed_sd, draw):
    """Shares of reproduced, inconclusive and not reproduced, and of the old rule's reproduced."""
    phase = draw.uniform(-0.5, 0.5, TIMES)  # where the recipe lies between two printed numbers
    paper = np.round(225 + phase + np.hypot(seed_sd, SET_SD) * draw.standard_normal(TIMES))
    recipe = 225 + phase - gap + seed_sd * draw.standard_normal((SEEDS, TIMES))
    seeds = recipe + SET_SD / np.sqrt(SETS) * draw.standard_normal((SEEDS, TIMES))
    half = t.ppf(0.95, SEEDS - 1) * seeds.std(0, ddof=1) / np.sqrt(SEEDS) + ROUNDING
    delta = seeds.mean(0) - paper
    inside = (delta - half >= -BOUND) & (delta + half <= BOUND)
    outside = (delta + half < -BOUND) | (delta - half > BOUND)
    old = recipe + SET_SD * draw.standard_normal((SEEDS, TIMES))
    spread = old.var(0, ddof=1) * (1 + 1 / SEEDS)
    total = spread + TEST_SE**2 + PAPER_SE**2
    quantile = t.ppf(0.975, (SEEDS - 1) * (total / spread) ** 2)
    before = np.abs(old.mean(0) - paper) <= quantile * np.sqrt(total)
    return [inside.mean(), 1 - inside.mean() - outside.mean(), outside.mean(), before.mean()]


# The notes on the spread that came out have such numbers in words: with the sets' scatter counted
# twice, then once.
WORDS = " ".join(TEXT.split()).partition("**29 November 2026.**")
NOTE = [
    [float(gap), seed_sd, *map(float, shares)]
    for words, seed_sd in ((WORDS[0], 1.6), (WORDS[2], np.sqrt(1.6**2 - SET_SD**2 / SETS)))
    for gap, *shares in re.findall(
        r"at (?:a gap of )?([\d.]+) nats ([\d.]+), ([\d.]+) and ([\d.]+\d)", words
    )
]


@pytest.mark.parametrize("row", ROWS + NOTE, ids=lambda row: f"gap {row[0]}, SD {row[1]}")
def test_the_table_is_what_the_rule_does(row):
    gap, seed_sd, *shares = row
    found = answers(gap, seed_sd, np.random.default_rng(0))
    # Five standard errors of a share among so many, and the table's rounding.
    for ours, stated in zip(found[: len(shares)], shares, strict=True):
        error = np.sqrt(max(ours * (1 - ours), 1 / TIMES) / TIMES)
        assert 100 * abs(ours - stated / 100) <= 100 * 5 * error + 0.06


def test_equal_models_are_reproduced_and_models_as_far_apart_as_the_next_are_not():
    assert (len(ROWS), len(NOTE)) == (15, 5 + 3)
    assert min(reproduced for gap, _, reproduced, *_ in ROWS if gap == 0) >= 95
    assert min(refuted for gap, *_, refuted, _ in ROWS if gap == 2 * BOUND) >= 95
