"""The project's own prompts (``prompts.toml``) and the order in which they are tried."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROMPTS_FILE = Path(__file__).with_name("prompts.toml")


@dataclass(frozen=True)
class Topic:
    """A domain label with what can be written about it.

    Attributes
    ----------
    name
        The label, for example ``cardiology``.
    field
        The topic in words, as prompts name it.
    subjects
        Concrete subjects, in the file's order.
    """

    name: str
    field: str
    subjects: tuple[str, ...]


@dataclass(frozen=True)
class Slot:
    """One document to be written.

    Attributes
    ----------
    topic, subject, template
        The label, the subject and the template's identifier.
    prompt
        The user's message to the model.
    opening
        Words put before what the model writes; may be empty.
    attempt
        0 for the first text of this topic, subject and template, then 1, 2, ...
    seed
        Seed of this document's own random numbers, below 2**63.
    """

    topic: str
    subject: str
    template: str
    prompt: str
    opening: str
    attempt: int
    seed: int

    @property
    def document_id(self) -> str:
        """Stable identifier of the document."""
        words = self.subject.lower().replace("'", "").replace("-", " ").split()
        name = f"{self.topic}/{'-'.join(words)}/{self.template}"
        return f"{name}/{self.attempt}" if self.attempt else name


@dataclass(frozen=True)
class Prompts:
    """Everything in the prompts file.

    Attributes
    ----------
    version
        The file's own version.
    system
        The system message.
    templates
        Identifier to template with ``{subject}`` and perhaps ``{field}``.
    openings
        Template identifier to the words that an answer begins with, likewise.
    topics
        In the file's order.
    sha256
        Hash of the file's bytes.
    """

    version: int
    system: str
    templates: Mapping[str, str]
    openings: Mapping[str, str]
    topics: tuple[Topic, ...]
    sha256: str


def load_prompts(path: Path = PROMPTS_FILE) -> Prompts:
    """Read a prompts file; raises `CorpusError` where it is no valid TOML or lacks a part."""
    raw = path.read_bytes()
    try:
        data = tomllib.loads(raw.decode())
        topics = tuple(
            Topic(name, str(entry["field"]), tuple(entry["subjects"]))
            for name, entry in data["topics"].items()
        )
        return Prompts(
            version=int(data["version"]),
            system=str(data["system"]),
            templates=dict(data["templates"]),
            openings=dict(data["openings"]),
            topics=topics,
            sha256=hashlib.sha256(raw).hexdigest(),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(
            f"The prompts file {path} cannot be used: {error!r}.",
            hint="Compare it with the prompts.toml that is shipped.",
        ) from error


def slots(prompts: Prompts, topic: Topic, *, seed: int) -> Iterator[Slot]:
    """Yield what to write on `topic`, without end.

    Subjects come in an order drawn from the seed, each with another template in turn, so that
    any first part of the sequence is spread evenly over subjects and templates.
    """
    subjects = sorted(topic.subjects, key=lambda s: _hash(seed, topic.name, s))
    names = sorted(prompts.templates)
    attempt = 0
    while True:
        for turn in range(len(names)):
            for position, subject in enumerate(subjects):
                template = names[(position + turn) % len(names)]
                yield _slot(prompts, topic, subject, template=template, attempt=attempt, seed=seed)
        attempt += 1


def _slot(
    prompts: Prompts, topic: Topic, subject: str, *, template: str, attempt: int, seed: int
) -> Slot:
    opening = prompts.openings.get(template, "").format(subject=subject, field=topic.field)
    return Slot(
        topic=topic.name,
        subject=subject,
        template=template,
        prompt=prompts.templates[template].format(subject=subject, field=topic.field),
        opening=opening[:1].upper() + opening[1:],
        attempt=attempt,
        seed=_hash(seed, topic.name, subject, template, attempt),
    )


def _hash(*parts: object) -> int:
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def content_words(phrase: str) -> Sequence[str]:
    """Words of four letters or more, lower case; all words where none is that long."""
    words = [word.strip(".,()").lower() for word in phrase.split()]
    return [word for word in words if len(word) > 3] or words
