"""What a study of a concept found, a row a result, with the features that it concerns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from queries.followups.evidence_tables import CONCERNS, FINDINGS
from queries.studies.concept.contrasts import primary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from queries.studies.concept.request import ConceptRequest

    Tables = Mapping[str, pa.Table]


@dataclass
class _Found:
    """Rows of findings and of what they concern, numbered as they come."""

    findings: list[dict[str, Any]] = field(default_factory=list)
    concerns: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, name: str, verdict: str, *, about: Iterable[tuple[str, float]] = (), **more: Any
    ) -> None:
        number = len(self.findings) + 1
        row = dict.fromkeys(FINDINGS.names) | {"number": number, "name": name, "verdict": verdict}
        clean = {key: None if value != value else value for key, value in more.items()}  # noqa: PLR0124
        self.findings.append(row | clean)
        self.concerns += [
            {"finding": number, "feature": feature, "value": float(value), "rank": rank}
            for rank, (feature, value) in enumerate(about, start=1)
        ]


def finding_tables(tables: Tables, request: ConceptRequest) -> dict[str, pa.Table]:
    """Sum up the tables of a study as ``findings`` and ``concerns`` of the graph."""
    found = _Found()
    _filter(found, tables)
    _features(found, tables, request)
    _weights(found, tables, request)
    _groups(found, tables)
    _subgraph(found, tables, request)
    _patches(found, tables)
    _heads(found, tables, request)
    _shap(found, tables)
    _steering(found, tables)
    return {
        "findings": pa.Table.from_pylist(found.findings, schema=FINDINGS),
        "concerns": pa.Table.from_pylist(found.concerns, schema=CONCERNS),
    }


def _filter(found: _Found, tables: Tables) -> None:
    frame = tables["prompt_rows"].to_pandas()
    for group, mine in frame[frame["kept"].notna()].groupby("set", sort=False):
        kept = int(mine["kept"].sum())
        found.add(
            f"filter, {group} prompts", f"{kept} of {len(mine)} prompts turn on their term",
            question="Is a token of the term among those with the largest SHAP values?",
            test="none: descriptive", unit="prompt", estimate=kept / len(mine), n=len(mine),
        )  # fmt: skip


def _features(found: _Found, tables: Tables, request: ConceptRequest) -> None:
    frame = tables["contrast"].to_pandas()
    chosen = primary(tables["contrast"], request)
    for row in tables["confirmation"].to_pylist():
        mine = frame[(frame["selection"] == row["selection"]) & frame["confirmed"]]
        mine = mine.sort_values("rank_order") if row["selection"] == chosen else mine.head(0)
        unit = "pair of prompts" if row["paired"] else "prompt"
        found.add(
            f"features of the concept, {row['selection']} prompts",
            f"{row['found_more']} of {row['features']} features fire more for the concept on the "
            f"training half; {row['confirmed']} of them are confirmed on the other",
            question="Which features fire more for the concept than for the control?",
            test=f"permutation of {unit}s, Benjamini-Hochberg over {row['features']} features; "
            "again on the held-out half, over those found",
            unit=unit, statistic=row["rank_correlation"], estimate=row["rate"],
            low=row["rate_low"], high=row["rate_high"], n=row["concept_held"],
            about=zip(mine["feature"], mine["auc_held"], strict=True),
        )  # fmt: skip
    mine = frame[frame["selection"] == chosen]
    lost = mine[mine["beyond_2sd"]]
    sure = lost[lost["confirmed"]].sort_values("rank_order")
    found.add(
        "published outlier rule",
        f"dropping what lies beyond 2 standard deviations would lose {len(lost)} features, "
        f"{len(sure)} of the {int(mine['confirmed'].sum())} confirmed among them; none is dropped",
        question="What would the published rule throw away?", test="none: descriptive",
        unit="feature", estimate=len(lost) / max(1, len(mine)), n=len(mine),
        about=zip(sure["feature"], sure["difference"], strict=True),
    )  # fmt: skip


def _weights(found: _Found, tables: Tables, request: ConceptRequest) -> None:
    for row in tables["weight_summary"].to_pylist():
        if row["auc"] is None or row["auc"] != row["auc"]:
            continue
        differs = row["q"] <= request.fdr
        found.add(
            f"{row['measure']} of logit weights, {row['sae']}",
            f"{_direction(row['auc'] - 0.5) if differs else 'no different'} for confirmed features",
            question="Do the concept's features write to the logits like others?",
            test="Mann-Whitney, Benjamini-Hochberg over moments and SAEs", unit="feature",
            estimate=row["auc"], p=row["p"], q=row["q"], n=row["features"],
        )  # fmt: skip


def _direction(value: float) -> str:
    return "higher" if value > 0 else "lower"


def _groups(found: _Found, tables: Tables) -> None:
    frame, choices = tables["groups"].to_pandas(), tables["group_choices"].to_pylist()
    for row in choices:
        if not row["chosen"]:
            continue
        mine = frame[frame["sae"] == row["sae"]]
        for group, members in mine.groupby("group"):
            some = members.sort_values("silhouette", ascending=False)
            found.add(
                f"group {group} of {row['sae']}",
                f"{len(some)} of {row['features']} features; mean silhouette "
                f"{some['silhouette'].mean():.2f}, stability of the groups {row['stability']:.2f}",
                question="Which features of the concept write alike?",
                test="k-means of decoder directions, number of groups by silhouette",
                unit="feature", statistic=row["stability"], estimate=some["silhouette"].mean(),
                n=len(some), about=zip(some["feature"], some["silhouette"], strict=True),
            )  # fmt: skip


def _subgraph(found: _Found, tables: Tables, request: ConceptRequest) -> None:
    nodes = tables["subgraph_nodes"].to_pandas().sort_values("hub")
    for row in tables["subgraph_summary"].to_pylist():
        if row["kind"] == "prompts":
            hubs = nodes[nodes["degree"] > 0].head(10)
            found.add(
                "subgraph of the prompts",
                f"{row['edges']:.0f} of {row['tested']:.0f} pairs go together, in "
                f"{row['communities']:.0f} communities",
                question="Which features of the concept fire in the same concept prompts?",
                test="Fisher's, one-sided, Benjamini-Hochberg over pairs; Leiden",
                unit="prompt", statistic=row["stability"], estimate=row["modularity"],
                n=row["prompts"], about=zip(hubs["feature"], hubs["strength"], strict=True),
            )  # fmt: skip
        else:
            sure = row["p"] <= request.fdr
            found.add(
                f"{row['kind']} edges of the corpus, {row['sae']}",
                f"{row['edges']:.0f} edges among {row['features']} features, "
                f"{'more than' if sure else 'no more than'} random features that fire as often "
                f"({row['random']:.1f})",
                question="Does the corpus join the concept's features?",
                test="against random sets matched on firing rate", unit="set of features",
                statistic=row["random"], estimate=float(row["edges"]), p=row["p"],
                n=row["features"],
            )  # fmt: skip


def _patches(found: _Found, tables: Tables) -> None:
    if "patch_summary" not in tables:
        return
    frame = tables["patch_summary"].to_pandas()
    members = _members(tables)
    ours = ~frame["name"].str.startswith("control ")
    for row in frame[(frame["metric"] == "logit_diff") & ours].itertuples():
        said = "no share" if row.share != row.share else f"{row.share:.1%} of the difference"
        found.add(
            f"patching, {row.name}", f"{said} comes with it",
            question="How much of a concept prompt's answer do its features carry to its match?",
            test="Student's t over pairs, Benjamini-Hochberg over patches", unit="pair of prompts",
            statistic=row.change, estimate=row.share, low=row.share_low, high=row.share_high,
            p=row.p, q=row.q, n=row.prompts, about=members.get(row.intervention, ()),
        )  # fmt: skip


def _members(tables: Tables) -> dict[int, list[tuple[str, float]]]:
    found: dict[int, list[tuple[str, float]]] = {}
    for row in tables["on"].to_pylist():
        found.setdefault(row["intervention"], []).append((row["feature"], row["strength"] or 0.0))
    return found


def _heads(found: _Found, tables: Tables, request: ConceptRequest) -> None:
    frame = tables.get("term_heads")
    if frame is None or not frame.num_rows:
        return
    rows = frame.to_pylist()
    more = [row for row in rows if row["q"] <= request.fdr and row["on_term"] > row["expected"]]
    first = rows[0]
    found.add(
        "heads that look at the term",
        f"{len(more)} of {len(rows)} heads give it more than an even share, "
        f"head {first['head']} of layer {first['layer']} most",
        question="Which heads look from the last token at the term?",
        test="sign flips of prompts, Benjamini-Hochberg over heads", unit="prompt",
        estimate=first["on_term"], low=first["low"], high=first["high"], p=first["p"],
        q=first["q"], n=first["prompts"],
    )  # fmt: skip


def _shap(found: _Found, tables: Tables) -> None:
    if "players" not in tables or not tables["players"].num_rows:
        return
    frame: pd.DataFrame = tables["players"].to_pandas()
    ours = frame[frame["player"].str.contains("/")]
    for sae, mine in ours.groupby("sae", sort=False):
        each = mine.groupby("prompt")["value"].sum()
        by = mine.groupby("player")["value"].mean().sort_values(key=abs, ascending=False)
        found.add(
            f"SHAP values of features, {sae}",
            f"together {each.mean():+.3f} log odds of the next token on average",
            question="What of the next token is due to the concept's features?",
            test="none: descriptive", unit="prompt", estimate=float(each.mean()), n=len(each),
            about=zip(by.index, by, strict=True),
        )  # fmt: skip


def _steering(found: _Found, tables: Tables) -> None:
    members = _members(tables) if "steering" in tables else {}
    for row in tables["steering"].to_pylist() if "steering" in tables else []:
        verb = "raises" if row["action"] == "add" else "lowers"
        found.add(
            f"{row['action']} {row['set']}, strength {row['strength']:g}",
            f"{verb if row['as_expected'] else 'does not measurably ' + verb[:-1]} the probability "
            "of the concept's words, beside matched random features",
            question="Do the features cause the concept's words?",
            test="sign flips of prompts against controls, Benjamini-Hochberg over sets",
            unit="prompt", statistic=row["dz"], estimate=row["difference"], low=row["low"],
            high=row["high"], p=row["p_permutation"], q=row["q"], n=row["n"],
            about=members.get(row["intervention"], ()),
        )  # fmt: skip
