"""Patching: activations of one prompt put into another."""

from __future__ import annotations

from queries.followups.patching.patch import PatchingRequest, run

__all__ = ["PatchingRequest", "run"]
