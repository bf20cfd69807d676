"""Labels of the features of a loaded run, each with a measured score."""

from ingest.labelling.evidence import Evidence, Shown
from ingest.labelling.llm import label_prompt, litellm_labeller
from ingest.labelling.options import Labeller, Labelling, LabelOptions
from ingest.labelling.run import label_features
from ingest.labelling.score import Background, Score, score_label

__all__ = [
    "Background",
    "Evidence",
    "LabelOptions",
    "Labeller",
    "Labelling",
    "Score",
    "Shown",
    "label_features",
    "label_prompt",
    "litellm_labeller",
    "score_label",
]
