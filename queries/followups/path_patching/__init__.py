"""Path patching: what goes from one feature to another, and no other way."""

from __future__ import annotations

from queries.followups.path_patching.patch_paths import PathEdge, PathPatchingRequest, run

__all__ = ["PathEdge", "PathPatchingRequest", "run"]
