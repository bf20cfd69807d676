"""Statistics of studies: tests that count prompts, units or nodes, never tokens.

Every test has a permutation p that needs no normal distribution, an effect size with an interval,
a correction for the number of tests, and the smallest effect that it could have found.
"""

from __future__ import annotations

from queries.studies.inference.contrast import contrast
from queries.studies.inference.contrast_result import Contrast
from queries.studies.inference.correction import bonferroni, false_discovery
from queries.studies.inference.crossed import CrossedTest, crossed, crossed_table
from queries.studies.inference.groups import GroupTest, compare_groups, metric_table
from queries.studies.inference.moments import Moments, logit_weight_moments
from queries.studies.inference.paired import PairedTest, paired, paired_table
from queries.studies.inference.power import (
    detectable_correlation,
    detectable_groups,
    detectable_mean,
    detectable_two,
)
from queries.studies.inference.replication import Confirmation, confirm, halves
from queries.studies.inference.sets import SetsTest, two_sets

__all__ = [
    "Confirmation",
    "Contrast",
    "CrossedTest",
    "GroupTest",
    "Moments",
    "PairedTest",
    "SetsTest",
    "bonferroni",
    "compare_groups",
    "confirm",
    "contrast",
    "crossed",
    "crossed_table",
    "detectable_correlation",
    "detectable_groups",
    "detectable_mean",
    "detectable_two",
    "false_discovery",
    "halves",
    "logit_weight_moments",
    "metric_table",
    "paired",
    "paired_table",
    "two_sets",
]
