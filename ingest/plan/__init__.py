"""What a build will cost, before it runs: time, memory, disk, tested pairs and edges.

``text`` counts tokens, ``sample`` runs some of them through the model, ``rates`` counts firings
and ``pairs`` says what a search for edges will meet; ``speeds`` times the build's own code and
``seconds`` adds up; ``memory``, ``disk`` and ``graph`` are bytes; ``machine`` is what there is, and
``fits`` refuses what does not. ``costs`` holds every constant.
"""

from __future__ import annotations

from ingest.plan.fits import check_documents, check_fits
from ingest.plan.machine import Machine, this_machine
from ingest.plan.make import make_plan, quick_plan
from ingest.plan.plan import Plan

__all__ = [
    "Machine",
    "Plan",
    "check_documents",
    "check_fits",
    "make_plan",
    "quick_plan",
    "this_machine",
]
