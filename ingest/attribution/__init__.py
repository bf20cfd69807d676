"""Attribution edges: features whose effects on a task rise and fall together over prompts.

``prompts`` reads a prompt set and ``tokens`` turns it into blocks; ``metrics`` scores logits;
``features`` splits a stream's gradient among an SAE's features and ``batches`` does so for a
whole prompt set; ``aggregate`` makes one number of a feature's positions; ``sums``, ``groups``,
``correlation``, ``bootstrap`` and ``edges`` are the statistics; ``run`` writes the tables.
"""
