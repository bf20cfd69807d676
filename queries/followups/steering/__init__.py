"""Steering: interventions on prompts, what they change, and what the model then writes."""

from __future__ import annotations

from queries.followups.steering.drawing import GenerationSettings
from queries.followups.steering.steer import SteeringRequest, run

__all__ = ["GenerationSettings", "SteeringRequest", "run"]
