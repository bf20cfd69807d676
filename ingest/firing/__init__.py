"""What features fire on, in bounded memory: scanners that take one code shard after another."""

from ingest.firing.moments import ActivationMoments
from ingest.firing.pairs import JointFirings, PairScanner
from ingest.firing.places import FiringOptions, Firings
from ingest.firing.scanner import FeatureScanner, FeatureStatistics
from ingest.firing.windows import WindowActivations

__all__ = [
    "ActivationMoments",
    "FeatureScanner",
    "FeatureStatistics",
    "FiringOptions",
    "Firings",
    "JointFirings",
    "PairScanner",
    "WindowActivations",
]
