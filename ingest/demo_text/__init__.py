"""The demo text: short documents that the packaged model writes from the project's own prompts.

``python -m ingest.demo_text --out FILE --seed 0`` makes the Parquet file that is shipped as
``atlas/data/demo_documents.parquet``. The texts are those of a language model of 135 million
parameters: fluent and on their topic, but often wrong in what they state. They serve to see
which features fire on which topic, never as a source of facts.

On one machine the file is the same for the same seed. Another processor, another version of
torch or another number of threads may round a logit differently and so draw another token:
that is why the file itself is shipped and not only the script.
"""
