"""Writing the demo documents: schedule, checkpoint and the Parquet file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from atlas.errors import CorpusError
from atlas.progress import Reporter, SilentReporter
from ingest.demo_text.checks import clean, fault
from ingest.demo_text.prompts import Prompts, Slot, Topic, load_prompts, slots
from ingest.demo_text.writer import Sampling, write

if TYPE_CHECKING:
    from pathlib import Path

    from atlas.lm import LanguageModel

#: Bumped when the script would write other documents from the same prompts, model and seed.
SCRIPT_VERSION = 1
#: A topic that has not filled up after this many texts a document is given up with an error.
MAX_TRIES = 4

Writer = Callable[[Sequence[Slot]], list[str]]


@dataclass
class _Progress:
    """One topic under way."""

    topic: Topic
    todo: Iterator[Slot]
    tried: int = 0
    kept: list[tuple[Slot, str]] = field(default_factory=list)


class Checkpoint:
    """Texts written so far, one JSON line each, behind a line that says with what settings.

    Parameters
    ----------
    path
        The file; made where it does not exist.
    settings
        Whatever the texts depend on.

    Raises
    ------
    CorpusError
        The file holds texts of other settings, or is no such file.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.texts: dict[str, str] = {}
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings) + "\n")
            return
        head, *rest = [_json(line) for line in path.read_text().split("\n")]
        if head != settings:
            raise CorpusError(
                f"{path} holds texts of another seed, model or version of the prompts.",
                hint="Delete it to start over.",
            )
        complete = [entry for entry in rest if entry is not None]  # a killed run cuts a line
        self.texts = {entry["id"]: entry["raw"] for entry in complete}
        path.write_text("".join(json.dumps(entry) + "\n" for entry in (head, *complete)))

    def add(self, batch: Sequence[Slot], raws: Sequence[str]) -> None:
        """Append texts to the file."""
        with self.path.open("a") as handle:
            for slot, raw in zip(batch, raws, strict=True):
                self.texts[slot.document_id] = raw
                handle.write(json.dumps({"id": slot.document_id, "raw": raw}) + "\n")


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def write_documents(
    prompts: Prompts,
    writer: Writer,
    *,
    seed: int,
    per_topic: int,
    batch: int,
    checkpoint: Checkpoint | None = None,
    reporter: Reporter | None = None,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Write until every topic has `per_topic` documents.

    Returns
    -------
    tuple
        The rows, topic after topic in the order of writing, and the counts of what was not
        kept, by reason.

    Raises
    ------
    CorpusError
        A topic does not fill up: nearly everything that is written on it is refused.
    """
    reporter = reporter or SilentReporter()
    states = [_Progress(topic, slots(prompts, topic, seed=seed)) for topic in prompts.topics]
    refused: Counter[str] = Counter()
    with reporter.step("writing documents", per_topic * len(states)) as advance:
        while group := _next_batch(states, per_topic=per_topic, size=batch):
            raws = _raw_texts(group, writer, checkpoint)
            for slot, raw in zip(group, raws, strict=True):
                state = next(s for s in states if s.topic.name == slot.topic)
                reason = fault(raw, slot, [text for _, text in state.kept])
                if reason is None:
                    state.kept.append((slot, clean(raw)))
                else:
                    refused[reason] += 1
            advance(sum(len(state.kept) for state in states))
    return [_row(slot, text) for state in states for slot, text in state.kept], dict(refused)


def _next_batch(states: Sequence[_Progress], *, per_topic: int, size: int) -> list[Slot]:
    """Take slots from the topics in turn, no more of any than it still needs."""
    group: list[Slot] = []
    need = {state.topic.name: per_topic - len(state.kept) for state in states}
    while len(group) < size and any(need.values()):
        for state in states:
            if not need[state.topic.name] or len(group) == size:
                continue
            if state.tried >= MAX_TRIES * per_topic:
                raise CorpusError(
                    f"Topic {state.topic.name}: {len(state.kept)} of {per_topic} documents after "
                    f"{state.tried} texts.",
                    hint="Mend the topic's prompts or its subjects.",
                )
            need[state.topic.name] -= 1
            state.tried += 1
            group.append(next(state.todo))
    return group


def _raw_texts(group: Sequence[Slot], writer: Writer, checkpoint: Checkpoint | None) -> list[str]:
    known = checkpoint.texts if checkpoint else {}
    if not all(slot.document_id in known for slot in group):
        # The whole batch again even where a part is known: its rounding is that of the batch.
        raws = writer(group)
        if checkpoint:
            checkpoint.add(group, raws)
        return raws
    return [known[slot.document_id] for slot in group]


def _row(slot: Slot, text: str) -> dict[str, Any]:
    return {
        "id": slot.document_id,
        "domain": slot.topic,
        "subject": slot.subject,
        "title": slot.subject[0].upper() + slot.subject[1:],
        "text": text,
        "prompt": slot.template,
        "seed": slot.seed,
    }


def write_parquet(rows: Sequence[dict[str, Any]], path: Path, *, metadata: dict[str, str]) -> None:
    """Write the rows with zstd and `metadata` in the schema, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("id", "domain", "subject", "title", "text", "prompt")
    schema = pa.schema([(name, pa.string()) for name in names] + [("seed", pa.int64())])
    table = pa.Table.from_pylist(list(rows), schema=schema.with_metadata(metadata))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pq.write_table(table, partial, compression="zstd", compression_level=19)
    partial.replace(path)


def make_demo_text(
    out: Path,
    *,
    model: LanguageModel,
    seed: int = 0,
    per_topic: int = 46,
    batch: int = 64,
    sampling: Sampling | None = None,
    reporter: Reporter | None = None,
) -> dict[str, str]:
    """Write the demo documents to `out`; resumes from ``OUT.texts.jsonl``.

    Returns
    -------
    dict
        The file's metadata.
    """
    prompts, sampling = load_prompts(), sampling or Sampling()
    settings = {
        "script_version": SCRIPT_VERSION,
        "prompts_sha256": prompts.sha256,
        "model": model.name,
        "weights_sha256": model.weights_sha256,
        "seed": seed,
        "sampling": asdict(sampling),
    }
    checkpoint = Checkpoint(out.with_suffix(".texts.jsonl"), settings)
    rows, refused = write_documents(
        prompts,
        lambda group: write(model, group, system=prompts.system, sampling=sampling),
        seed=seed,
        per_topic=per_topic,
        batch=batch,
        checkpoint=checkpoint,
        reporter=reporter,
    )
    metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in settings.items()}
    metadata |= {"refused": json.dumps(refused, sort_keys=True), "documents": str(len(rows))}
    metadata["templates"] = json.dumps(dict(prompts.templates))
    metadata["texts_sha256"] = hashlib.sha256(
        "\n".join(row["text"] for row in rows).encode()
    ).hexdigest()
    write_parquet(rows, out, metadata=metadata)
    return metadata
