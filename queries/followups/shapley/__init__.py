"""Shapley values of tokens, features and communities for what the model does."""

from __future__ import annotations

from queries.followups.shapley.explain import ShapRequest, run
from queries.followups.shapley.page import shap_explanation, shap_page

__all__ = ["ShapRequest", "run", "shap_explanation", "shap_page"]
