"""Model, SAEs and text of a recipe, and what identifies the build that they make."""

from __future__ import annotations

import hashlib
import json
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import CorpusError
from atlas.recipe import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from atlas.lm import LanguageModel
    from atlas.progress import Reporter
    from atlas.recipe import BuildRecipe
    from atlas.saes import LoadedSae
    from ingest.corpus import Document

#: Bumped when the same recipe gives other tables than before.
PIPELINE_VERSION = 4


class BuildInputs:
    """Model, SAEs and text of a recipe, each loaded when it is first needed."""

    def __init__(self, recipe: BuildRecipe, reporter: Reporter) -> None:
        self.recipe = recipe
        self.reporter = reporter

    @cached_property
    def model(self) -> LanguageModel:
        """The language model."""
        from atlas.lm import LanguageModel

        self.reporter.note(f"loading model {self.recipe.model.name}")
        return LanguageModel.load(self.recipe.model.name)

    @cached_property
    def saes(self) -> list[LoadedSae]:
        """The SAEs, in the recipe's order."""
        from atlas.saes import load_sae

        return [load_sae(section.source, name=section.name) for section in self.recipe.sae]

    @cached_property
    def documents(self) -> list[Document]:
        """The documents of all sources, in order; problems of reading are reported."""
        from ingest.corpus import read_corpus

        documents: list[Document] = []
        for section in self.recipe.corpus:
            corpus = read_corpus(
                section.source,
                text_column=section.text_column,
                domain_column=section.domain_column,
                id_column=section.id_column,
                limit=section.limit,
            )
            documents.extend(corpus)
            if corpus.problems:
                self.reporter.note(corpus.summary())
        ids = [document.id for document in documents]
        if len(set(ids)) != len(ids):
            twice = next(i for i in ids if ids.count(i) > 1)
            raise CorpusError(
                f"Document id {twice!r} comes from two corpora of the recipe.",
                hint="Give the documents distinct ids.",
            )
        return documents

    @cached_property
    def corpus_sha256(self) -> str:
        """Hash over every document's id, domain, title, source and text."""
        total = hashlib.sha256()
        for d in self.documents:
            total.update(json.dumps([d.id, d.domain, d.title, d.source, d.text]).encode())
        return total.hexdigest()

    @cached_property
    def text(self) -> TokenTexts:
        """Tokens of the documents and texts of tokens."""
        return TokenTexts(self.documents, self.model.tokenizer)

    @property
    def run_id(self) -> str:
        """Name and hash of recipe, text, weights and this pipeline's version."""
        parts = [
            digest(self.recipe, exclude={"analysis"}),
            self.corpus_sha256,
            str(self.model.weights_sha256),
            *(sae.weights_sha256 for sae in self.saes),
            str(PIPELINE_VERSION),
        ]
        return f"{self.recipe.name}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


class TokenTexts:
    """Token ids of documents and texts of token ids.

    Documents are tokenised some at a time, which is several times faster than one by one; their
    ids are kept, 4 bytes a token.
    """

    BATCH = 256

    def __init__(self, documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.documents = documents
        self.of = cache(self._of)
        self._batches: dict[int, list[NDArray[np.int32]]] = {}

    def _of(self, token: int) -> str:
        return str(self.tokenizer.decode([token]))

    def tokens(self, document: int) -> NDArray[np.int32]:
        """Token ids of a document: int32 ``[tokens]``."""
        batch, place = divmod(document, self.BATCH)
        if batch not in self._batches:
            some = self.documents[batch * self.BATCH : (batch + 1) * self.BATCH]
            ids = self.tokenizer([d.text for d in some], add_special_tokens=False, verbose=False)[
                "input_ids"
            ]
            self._batches[batch] = [np.asarray(x, np.int32) for x in ids]
        return self._batches[batch][place]
