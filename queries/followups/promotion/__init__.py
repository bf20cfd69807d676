"""Promotion: which tokens a feature promotes and suppresses, measured by taking it out."""

from __future__ import annotations

from queries.followups.contexts import PeakContext
from queries.followups.promotion.promote import PromotionRequest, run

__all__ = ["PeakContext", "PromotionRequest", "run"]
