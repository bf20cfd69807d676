"""Attribution: how much of a metric is due to each feature and to the errors, by gradients."""

from __future__ import annotations

from queries.followups.attribution.attribute import AttributionRequest, run

__all__ = ["AttributionRequest", "run"]
