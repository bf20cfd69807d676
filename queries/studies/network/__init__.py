"""Network analysis of a narrow task: attributions, their graph, and what steering along it does.

``request`` says what is asked and ``run`` does it, stage by stage: ``prompts`` (what the model
knows), ``attributions``, ``graphs``, ``communities``, ``centrality``, ``features`` (metrics and
their table), ``choose`` and ``steer`` (single features, sets and their controls), ``hypotheses``.
``report`` makes pages of the tables alone, and ``published`` holds the figures of the original.
"""
