"""Inputs of a build whose codes are made here, by a forward pass over text."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.artifacts import shard_rows, write_json
from atlas.errors import CorpusError
from atlas.recipe import digest
from ingest.coded import Coded, Inputs, weights_entry
from ingest.mapped import MappedSae

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from atlas.lm import LanguageModel
    from atlas.saes import LoadedSae
    from ingest.documents import Document


class BuildInputs(Inputs):
    """Model, SAEs and text of a recipe; the codes are made by a forward pass."""

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

        return [load_sae(str(section.source), name=section.name) for section in self.recipe.sae]

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

    def identity(self) -> list[str]:
        """Hashes of the text, the model's weights and those of the SAEs."""
        weights = [sae.weights_sha256 for sae in self.saes]
        return [self.corpus_sha256, str(self.model.weights_sha256), *weights]

    def code(self, folder: Path) -> Coded:
        """Run the model and the SAEs over the text, after a preflight on a sample.

        Raises
        ------
        ModelError, CorpusError, ArtifactError
            What failed, on what, and what to do; finished shards stay.
        """
        figures = self._preflight(folder)
        self._check_fits(figures, folder)
        tokens = self.recipe.tokens.model_dump().items()
        return Coded(
            saes=self._map(folder),
            documents=self.documents,
            n_tokens=lambda document: len(self.text.tokens(document)),
            tokens_of=self.text.tokens,
            text_of=self.text.of,
            token_space=self.model.name,
            unembedding=self.model.unembedding(),
            corpus_sha256=self.corpus_sha256,
            model={
                "key": self.model.name,
                "d_model": self.model.d_model,
                "n_layers": self.model.n_layers,
                "weights_sha256": self.model.weights_sha256,
                "source": self.recipe.model.name,
            },
            sae_entries=[self._entry(sae) for sae in self.saes],
            parameters={"dtype": "preferred of the device"}
            | {f"tokens.{key}": value for key, value in tokens}
            | _flat_figures(figures),
        )

    def _entry(self, sae: LoadedSae) -> dict[str, Any]:
        return {
            "key": sae.key(self.model.name),
            "name": sae.name,
            "hook": sae.hook.name,
            "d_sae": sae.d_sae,
            **weights_entry(sae),
        }

    def _preflight(self, folder: Path) -> dict[str, Any]:
        """Measure each SAE on a sample; kept in ``preflight.json``."""
        from ingest.preflight import measure

        path = folder / "preflight.json"
        if path.is_file():
            kept: dict[str, Any] = json.loads(path.read_text())
            return kept
        texts = [d.text for d in self.documents[:: max(1, len(self.documents) // 48)]]
        figures = {}
        for sae in self.saes:
            self.reporter.note(f"preflight of {sae.key(self.model.name)}")
            measured = measure(self.model, sae, texts, options=self.recipe.tokens)
            for note in measured.notes:
                self.reporter.note(f"  {note}")
            figures[sae.name] = measured.to_json()
        write_json(path, figures)
        return figures

    def _check_fits(self, figures: dict[str, Any], folder: Path) -> None:
        """Raise `ArtifactError` where memory or disk will not do, before the forward pass."""
        from ingest.plan import check_fits, quick_plan

        if self.check:
            check_fits(quick_plan(self, figures, folder=folder))

    def _identity(self, sae: LoadedSae) -> dict[str, str]:
        return {
            "model": f"{self.model.name} {self.model.weights_sha256}",
            "hook": sae.hook.name,
            "sae": sae.weights_sha256,
            "corpus": self.corpus_sha256,
            "tokens": digest(self.recipe.tokens),
        }

    def _map(self, folder: Path) -> list[MappedSae]:
        """Write the code shards; return the SAEs with them, the earliest hook first."""
        from ingest.codes import shard_path, write_codes

        identity = {sae.name: self._identity(sae) for sae in self.saes}
        shards = write_codes(
            self.model,
            self.saes,
            [document.text for document in self.documents],
            options=self.recipe.tokens,
            folder=folder,
            identity=identity,
            reporter=self.reporter,
        )
        mapped = [
            MappedSae(
                name=sae.name,
                key=sae.key(self.model.name),
                hook=sae.hook.name,
                depth=sae.hook.depth,
                d_sae=sae.d_sae,
                paths=tuple(shard_path(folder, sae.name, number) for number in range(shards)),
                identity=identity[sae.name],
                block=self.recipe.tokens.context_size - 1,
                w_dec=sae.sae.W_dec.detach().float().cpu(),
                w_enc=sae.sae.W_enc.detach().float().cpu(),
            )
            for sae in self.saes
        ]
        if not any(shard_rows(path) for path in mapped[0].paths):
            raise CorpusError("No position is left after masking.", hint="Give longer documents.")
        return sorted(mapped, key=lambda sae: (sae.depth, sae.name))


def _flat_figures(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        f"preflight.{sae}.{key}": value
        for sae, values in figures.items()
        for key, value in values.items()
        if not isinstance(value, list | tuple)
    }


class TokenTexts:
    """Token ids of documents and texts of token ids.

    Documents are tokenised some at a time, which is several times faster than one by one; their
    ids are kept, 4 bytes a token.
    """

    BATCH = 256

    def __init__(self, documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.documents = documents
        self._batches: dict[int, list[NDArray[np.int32]]] = {}

    def of(self, token: int) -> str:
        """Text of a token id."""
        return self._texts[token] if 0 <= token < len(self._texts) else ""

    @cached_property
    def _texts(self) -> list[str]:
        """Texts of all token ids: one call for all is many times faster than one for each."""
        ids = [[token] for token in range(len(self.tokenizer))]
        if self.tokenizer.is_fast:
            return list(
                self.tokenizer.backend_tokenizer.decode_batch(ids, skip_special_tokens=False)
            )
        return [str(self.tokenizer.decode(one)) for one in ids]

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
