"""Inputs of a build whose codes are brought: no language model is needed."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.artifacts import file_sha256
from atlas.errors import ArtifactError, ModelError, RecipeError
from ingest.brought import BroughtOptions, bring, open_source
from ingest.brought_texts import BroughtTexts
from ingest.coded import Coded, Inputs, weights_entry
from ingest.mapped import MappedSae

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

    from atlas.recipe import CodesSection, SaeSection
    from atlas.saes import LoadedSae
    from ingest.brought import Brought, FiringSource

_BLOCK = re.compile(r"blocks\.(\d+)\.")


class BroughtInputs(Inputs):
    """Codes of one or several SAEs that another library made, with what is known beside them."""

    @cached_property
    def sources(self) -> list[FiringSource]:
        """The codes, in the recipe's order."""
        return [
            open_source(codes.path, kind=codes.format, latents=codes.latents)
            for codes in self._sections
        ]

    @cached_property
    def weights(self) -> list[LoadedSae | None]:
        """The SAEs whose weights the recipe names, on the CPU; None for the others."""
        return [
            None if section.source is None else _load(section.source, section.name)
            for section in self.recipe.sae
        ]

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer that the recipe names; raises `ModelError` where it cannot be loaded."""
        name = self.recipe.model.tokenizer
        if name is None:
            return None
        from transformers import AutoTokenizer

        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"Tokenizer {name!r} cannot be loaded: {str(error).splitlines()[0]}",
                hint="Give a local folder or a hub name, or leave model.tokenizer out.",
            ) from error
        return tokenizer

    @property
    def _sections(self) -> list[CodesSection]:
        return [section.codes for section in self.recipe.sae if section.codes is not None]

    def identity(self) -> list[str]:
        """Hashes of the codes, the documents, and any weights and tokenizer."""
        parts = [source.identity["sources"] for source in self.sources]
        tables = dict.fromkeys(codes.documents for codes in self._sections)
        parts += [_table_sha256(path) for path in tables if path is not None]
        parts += [sae.weights_sha256 if sae is not None else "" for sae in self.weights]
        words = sorted(self.tokenizer.get_vocab().items()) if self.tokenizer is not None else []
        return [*parts, hashlib.sha256(json.dumps(words).encode()).hexdigest()]

    def code(self, folder: Path) -> Coded:
        """Read the codes into shards; see `ingest.brought.bring`.

        Raises
        ------
        RecipeError, UsageError
            The number of latents or of positions is not known, or differs from the weights'.
        ArtifactError
            A file is broken, or the SAEs count different positions.
        """
        weights = zip(self.recipe.sae, self.sources, self.weights, strict=True)
        for section, source, sae in weights:
            _check_latents(section, source, sae)
        brought = [self._bring(folder, number) for number in range(len(self.sources))]
        self._check_positions(brought)
        texts = BroughtTexts(brought, self.tokenizer)
        return Coded(
            saes=self._map(brought),
            documents=texts.documents,
            n_tokens=texts.n_tokens,
            tokens_of=texts.tokens if texts.known else None,
            text_of=texts.of,
            # Ids of tokens that were brought as texts are these codes' own.
            token_space=f"{self.recipe.model.name}/{self.run_id}",
            unembedding=None,
            corpus_sha256=brought[0].rows_sha256,
            model=self._model(),
            sae_entries=[self._entry(number, one.d_sae) for number, one in enumerate(brought)],
            parameters=self._parameters(brought),
        )

    def _bring(self, folder: Path, number: int) -> Brought:
        section, codes, sae = self.recipe.sae[number], self._sections[number], self.weights[number]
        name = str(section.name)
        brought = bring(
            self.sources[number],
            folder / "codes" / name,
            options=BroughtOptions(
                d_sae=codes.d_sae or (sae.d_sae if sae is not None else None),
                shard_documents=self.recipe.tokens.shard_documents,
                positions=codes.positions,
                skip_positions=codes.skip_positions,
                mask_tokens=tuple(codes.mask_tokens),
            ),
            documents=codes.documents,
            identity={"model": self.recipe.model.name, "hook": str(section.hook)},
            reporter=self.reporter,
        )
        for topic, flag in brought.flags.items():
            self.reporter.note(f"codes of {name}: {topic}: {flag}")
        return brought

    def _check_positions(self, brought: Sequence[Brought]) -> None:
        for section, one in zip(self.recipe.sae, brought, strict=True):
            if one.rows_sha256 != brought[0].rows_sha256:
                first = self.recipe.sae[0]
                raise ArtifactError(
                    f"The codes of {first.name} and {section.name} count different positions: "
                    f"{brought[0].counts['rows']:,} of {brought[0].counts['documents']:,} "
                    f"documents, and {one.counts['rows']:,} of {one.counts['documents']:,}.",
                    hint="Give both the same documents table and the same masks, or map them in "
                    "two builds.",
                )

    def _map(self, brought: Sequence[Brought]) -> list[MappedSae]:
        """Return the SAEs, the earliest hook first."""
        depths = hook_depths([str(section.hook) for section in self.recipe.sae])
        mapped = [
            MappedSae(
                name=str(section.name),
                key=self._key(section),
                hook=str(section.hook),
                depth=depth,
                d_sae=one.d_sae,
                paths=tuple(one.shard_paths),
                identity=one.identity,
                block=0,
                w_dec=None if sae is None else sae.sae.W_dec.detach().float().cpu(),
                w_enc=None if sae is None else sae.sae.W_enc.detach().float().cpu(),
            )
            for section, depth, one, sae in zip(
                self.recipe.sae, depths, brought, self.weights, strict=True
            )
        ]
        return sorted(mapped, key=lambda sae: (sae.depth, sae.name))

    def _key(self, section: SaeSection) -> str:
        return f"{self.recipe.model.name}/{section.hook}/{section.name}"

    def _model(self) -> dict[str, Any]:
        """Say what is known: a null would take away what another run knows of the model."""
        widths = {int(sae.sae.cfg.d_in) for sae in self.weights if sae is not None}
        key = {"key": self.recipe.model.name}
        return key | {"d_model": widths.pop()} if len(widths) == 1 else key

    def _entry(self, number: int, d_sae: int) -> dict[str, Any]:
        section, source, sae = self.recipe.sae[number], self.sources[number], self.weights[number]
        entry: dict[str, Any] = {
            "key": self._key(section),
            "name": section.name,
            "hook": section.hook,
            "d_sae": d_sae,
            "codes_format": source.kind,
            "codes_sha256": source.identity["sources"],
        }
        return entry if sae is None else entry | weights_entry(sae)

    def _parameters(self, brought: Sequence[Brought]) -> dict[str, Any]:
        found: dict[str, Any] = {"tokens.shard_documents": self.recipe.tokens.shard_documents}
        for section, codes, one in zip(self.recipe.sae, self._sections, brought, strict=True):
            chosen = codes.model_dump(include={"positions", "skip_positions", "mask_tokens"})
            values = chosen | one.counts
            values |= {f"flags.{topic}": flag for topic, flag in one.flags.items()}
            values |= {f"about.{key}": value for key, value in one.about.items()}
            values["l0"] = one.counts["firings"] / one.counts["rows"]
            values["silent"] = one.counts["silent_features"] / one.d_sae
            found |= {f"brought.{section.name}.{key}": value for key, value in values.items()}
        return found


def hook_depths(hooks: Sequence[str]) -> list[int]:
    """Order hooks: by N where all are named ``blocks.N...``, else as they are first named.

    Returns
    -------
    list of int
        For each hook, blocks before it, or its place among the different hooks.
    """
    found = [_BLOCK.match(hook) for hook in hooks]
    numbers = [int(match[1]) for match in found if match is not None]
    if len(numbers) == len(hooks):
        after = [hook.endswith("hook_resid_post") for hook in hooks]
        return [number + int(late) for number, late in zip(numbers, after, strict=True)]
    order = list(dict.fromkeys(hooks))
    return [order.index(hook) for hook in hooks]


def _load(source: str, name: str | None) -> LoadedSae:
    from atlas.saes import load_sae

    return load_sae(source, name=name, device="cpu")


def _table_sha256(path: str) -> str:
    if not Path(path).is_file():
        raise ArtifactError(f"There is no documents table at {path}.")
    return file_sha256(Path(path))


def _check_latents(section: SaeSection, source: FiringSource, sae: LoadedSae | None) -> None:
    given = section.codes.d_sae if section.codes is not None else None
    for number in (given, source.d_sae):
        if sae is not None and number is not None and number != sae.d_sae:
            raise RecipeError(
                f"SAE {section.source!r} has {sae.d_sae:,} latents, the codes of {section.name} "
                f"have {number:,}.",
                hint="Name the SAE that made the codes, or leave its source out.",
            )
