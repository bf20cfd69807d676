"""A training recipe from text to evaluated SAEs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.artifacts import write_json
from atlas.hooks import HookPoint
from atlas.lm import LanguageModel
from atlas.progress import Reporter, SilentReporter
from atlas.recipe import TrainRecipe, digest, load_train_recipe
from atlas.saes import load_sae
from ingest.blocks import tokenize
from ingest.corpus import is_held_out, read_corpus
from ingest.evaluate import evaluate
from ingest.harvest import HarvestPlan, harvest
from ingest.train_sae import load_activations, train

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.blocks import TokenBlock
    from ingest.corpus import Document

#: Held-out blocks on which the figures are measured.
EVALUATION_BLOCKS = 120


def run_training(
    path: str | Path, out: Path, *, reporter: Reporter | None = None
) -> list[dict[str, Any]]:
    """Harvest, train and evaluate every SAE of a recipe; what is done already is kept.

    Parameters
    ----------
    path
        A training recipe.
    out
        Folder; gets ``harvest-HASH/`` (activations), ``NAME/`` for each SAE (SAELens's format,
        checkpoints) and ``NAME/quality.json``.

    Returns
    -------
    list of dict
        One an SAE: its name and the figures of `ingest.evaluate.SaeQuality`.
    """
    told = reporter or SilentReporter()
    recipe = load_train_recipe(path)
    model = LanguageModel.load(recipe.model.name)
    documents = [
        document for section in recipe.corpus for document in _documents(section.model_dump())
    ]
    share = recipe.harvest.held_out
    training = [d for d in documents if not is_held_out(d.id, share)]
    folder = out / f"harvest-{digest(recipe.harvest)[:8]}"
    _harvest(recipe, model, training, folder, told)
    held_out = _evaluation_blocks(recipe, model, documents)
    figures = []
    for section in recipe.sae:
        target = out / section.name
        quality = target / "quality.json"
        if not quality.is_file():
            if not (target / "cfg.json").is_file():
                data = load_activations(folder, section.hook, section.positions)
                train(
                    section,
                    data,
                    model_name=recipe.model.name,
                    context_size=recipe.harvest.context_size,
                    out=target,
                    reporter=told,
                )
                del data
            with told.step(f"evaluating {section.name}") as advance:
                measured = evaluate(model, load_sae(str(target)), held_out, advance=advance)
            write_json(quality, measured.to_json())
        figures.append({"name": section.name, **json.loads(quality.read_text())})
    return figures


def _documents(section: dict[str, Any]) -> list[Document]:
    return list(read_corpus(section.pop("source"), **section))


def _order(recipe: TrainRecipe, number: int) -> list[int]:
    order: list[int] = np.random.default_rng(recipe.harvest.seed).permutation(number).tolist()
    return order


def _harvest(
    recipe: TrainRecipe,
    model: LanguageModel,
    documents: list[Document],
    folder: Path,
    told: Reporter,
) -> None:
    wanted: dict[str, int] = {}
    for section in recipe.sae:
        wanted[section.hook] = max(wanted.get(section.hook, 0), section.positions)
    written = folder / "harvest.json"
    if written.is_file():
        had = json.loads(written.read_text())["written"]
        if all(had.get(hook, 0) >= count for hook, count in wanted.items()):
            return
    texts = (documents[i].text for i in _order(recipe, len(documents)))
    blocks: list[TokenBlock] = []
    tokens = 0
    for block in tokenize(
        texts,
        model.tokenizer,
        context_size=recipe.harvest.context_size,
        bos=model.bos_token_id,
    ):
        blocks.append(block)
        tokens += len(block.tokens) - 1
        if tokens > 1.04 * max(wanted.values()):  # masked positions do not count
            break
    if recipe.harvest.compile:
        model.compile_blocks(max(HookPoint.parse(hook).depth for hook in wanted))
    plan = HarvestPlan(
        hooks=tuple(wanted),
        positions=tuple(wanted.values()),
        context_size=recipe.harvest.context_size,
        batch_tokens=recipe.harvest.batch_tokens,
        shard_blocks=recipe.harvest.shard_blocks,
    )
    with told.step("harvesting activations (positions)", max(wanted.values())) as advance:
        harvest(model, blocks, plan=plan, out=folder, progress=advance)


def _evaluation_blocks(
    recipe: TrainRecipe, model: LanguageModel, documents: list[Document]
) -> list[TokenBlock]:
    held = [d for d in documents if is_held_out(d.id, recipe.harvest.held_out)]
    texts = (held[i].text for i in _order(recipe, len(held)))
    blocks: list[TokenBlock] = []
    for block in tokenize(
        texts,
        model.tokenizer,
        context_size=recipe.harvest.context_size,
        bos=model.bos_token_id,
    ):
        blocks.append(block)
        if len(blocks) == EVALUATION_BLOCKS:
            break
    return blocks
