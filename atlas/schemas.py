"""The tables of a build folder: column names, Arrow types and which columns may be null.

The ingest pipeline writes Parquet files with these schemas and the loader refuses files that
differ. pyarrow is imported when a schema is asked for, so that reading the atlas does not need it.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

FORMAT = 2
"""Version of the build folder: `format` in `run.json`.

It grows where a table or a column takes on another meaning; builds of other formats are refused
and have to be built again. A new table that may be left out leaves it as it is: older builds load,
and what the table would have brought is not in their graph.
"""

REQUIRED = ("features", "edges")
"""Tables every build has."""

OPTIONAL = (
    "tokens",
    "feature_tokens",
    "documents",
    "contexts",
    "firings",
    "implies",
    "similar",
    "feeds",
    "vectors",
    "concepts",
    "about",
)
"""Tables a build may leave out; `NEEDS` says which go together."""

NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "edges": ("features",),
        "feature_tokens": ("features", "tokens"),
        "contexts": ("documents",),
        "firings": ("features", "contexts"),
        "implies": ("features",),
        "similar": ("features",),
        "feeds": ("features",),
        "vectors": ("features",),
        "about": ("features", "concepts"),
    }
)
"""Tables whose keys a table refers to."""

PAIRS: Mapping[str, str] = MappingProxyType(
    {"edges": "CO_OCCURS", "implies": "IMPLIES", "similar": "SIMILAR_TO", "feeds": "FEEDS"}
)
"""Tables of a build that join two features, and their relationship types."""

ATTRIBUTION = ("prompts", "co_attributed", "attributions", "splits")
"""Tables of an attribution run, which lie in a folder of their own.

Its features are those of builds. The first two become part of the graph.
"""

RELATIONS = ("FIRES_ON", "PROMOTES", "SUPPRESSES")
"""Values of the column `relation` of the table `feature_tokens`."""

# A name, a type and, after "?", that nulls are allowed. One line a column, in the order written.
_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "features": """
            key str; sae str; index int32; n int64; d int64; firing_rate f64
            mean f64?; max f64?; std f64?; dead bool; dense bool
            logit_mean f64?; logit_std f64?; logit_skew f64?; logit_kurtosis f64?
            label str?; label_source str?; top_tokens strs; top_words strs
            promoted strs; suppressed strs; top_domain str?; top_domain_share f64?
        """,
        "edges": """
            source str; target str; kind str; n int64; d int64; expected f64
            lift f64?; pmi f64?; npmi f64?; phi f64?; phi_max f64?; phi_share f64?; jaccard f64?
            p_target_given_source f64?; p_source_given_target f64?
            phi_within f64?; r_topic f64?; r f64?; r_joint f64?; cosine f64?; position_share f64?
            z f64?; z_within f64?; p f64?; q f64?
            rank_source int32; rank_target int32; mutual bool; contexts strs
        """,
        "implies": """
            source str; target str; n int64; p_target_given_source f64; p_source_given_target f64
            lift f64?; cosine f64?; absorption bool; p f64; q f64
        """,
        "similar": """
            source str; target str; cosine f64; rank_source int32?; rank_target int32?; mutual bool
        """,
        "feeds": """
            source str; target str; n int64; d int64; expected f64; lift f64?; npmi f64?; phi f64?
            p_target_given_source f64?; p_source_given_target f64?; r f64?; r_joint f64?
            weight f64?; weight_cosine f64?; z f64?; z_within f64?; p f64?; q f64?
            rank_source int32; rank_target int32; mutual bool
        """,
        "tokens": "key str; token_id int32; text str",
        "feature_tokens": "feature str; token str; relation str; rank int32; score f64; n int64?",
        "documents": "key str; domain str?; source str?; title str?; n_tokens int32",
        "contexts": "key str; document str; position int32; token str; text str; tokens strs",
        "firings": """
            feature str; context str; rank int32; activation f64; activations f32s; bin int32?
        """,
        "vectors": "feature str; decoder f32s?; label_embedding f32s?",
        "concepts": "key str; name str; kind str; source str?; documents int64",
        "about": """
            feature str; concept str; auc f64; effect f64; p f64; q f64; documents int64; share f64
        """,
        "prompts": """
            key str; prompt_set str; id str; group str?; prompt str; answer str; foils strs
            answer_token int32; n_tokens int32; score f64
        """,
        "co_attributed": """
            source str; target str; prompt_set str; metric str; aggregation str
            r f64; r_spearman f64; p f64; q f64; sign int32; prompts int32; n_both int32
            stability f64; r_low f64; r_high f64
        """,
        "attributions": "feature str; prompt str; value f64",
        "splits": "sae str; prompt str; features f64; bias f64; error f64; total f64",
    }
)


def tables() -> Mapping[str, pa.Schema]:
    """Return the schema of every table of a build, by the table's name.

    Returns
    -------
    Mapping
        Name (the file is ``{name}.parquet``) -> `pyarrow.Schema`. A field that is not nullable
        may hold no nulls. Floating-point columns may hold NaN; the loader stores NaN as absent.
    """
    return MappingProxyType(
        {name: known for name, known in _schemas().items() if name not in ATTRIBUTION}
    )


def schema(table: str) -> pa.Schema:
    """Return the schema of one table of a build or an attribution run: ``schema("edges")``.

    Raises
    ------
    KeyError
        If there is no table of that name.
    """
    return _schemas()[table]


@cache
def _schemas() -> Mapping[str, pa.Schema]:
    import pyarrow as pa

    types = {
        "str": pa.string(),
        "strs": pa.list_(pa.string()),
        "f32s": pa.list_(pa.float32()),
        "f64": pa.float64(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
    }

    def field(text: str) -> pa.Field:
        name, kind = text.split()
        return pa.field(name, types[kind.rstrip("?")], nullable=kind.endswith("?"))

    return {
        name: pa.schema(
            [field(part) for part in columns.replace("\n", ";").split(";") if part.strip()]
        )
        for name, columns in _COLUMNS.items()
    }


def file_name(table: str) -> str:
    """Return the name of a table's file in a build folder."""
    return f"{table}.parquet"
