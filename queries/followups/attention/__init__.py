"""Attention: where heads look in a prompt, and the features that fire there."""

from __future__ import annotations

from queries.followups.attention.attend import AttentionRequest, attention_weights, run
from queries.followups.attention.picture import attention_page

__all__ = ["AttentionRequest", "attention_page", "attention_weights", "run"]
