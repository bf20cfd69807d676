"""What parts of a build take where a plan does not measure it: bytes by format, figures of one run.

"The demo" is the shipped recipe of that name: layer 18 of SmolLM2-135M, 8,192 features of which 48
fire at a position, 259,445 positions of 5,070 documents, 8.60 million tested pairs.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bytes by format.

#: A code and a position in a shard: index and value; pointer, document, position and token.
CODE, POSITION = 8, 20
#: A shard beside its arrays: header, last pointer and record.
SHARD = 2048
#: A pair that passed a floor, in the file of survivors.
SURVIVOR = 145
#: A cell of a panel: joint firings, topic correlation, and a product that is added to it.
CELL = 8 + 4 + 4
#: Sums of a pair in one fold of documents: seven integers and three floats.
SUMS = 80

# Bytes in memory, from the arrays that live at the same time.

#: Python with torch, transformers, SAELens and numba before anything is loaded (measured).
LIBRARIES = 600 << 20
#: A code while its shard is made: row, index and value as the batches gave them, for every SAE;
#: then, for one SAE at a time, joined, sorted and written.
MAKING, SORTING = 16, 60
#: A position while its shard is made.
PLACING = 90
#: A code and a position while a shard is counted: read, and in another unit or side by side.
COUNTING, COUNTED_ROW = 24, 60
#: A code while features are described: by row, by column, and counted by token.
DESCRIBING = 64
#: A pair of a panel whose sums are tested, beside its `SUMS`.
TESTING = 350
#: A survivor while edges are chosen: effects, adjusted p, ranks.
CHOOSING = 300
#: An edge in the driver: sums, statistics, activations, contexts.
EDGE = 350
#: A feature while its nearest decoder vectors are looked for: 72 candidates, several times; and
#: the products of two blocks of 2,048, ranked.
NEAR, NEAR_BLOCK = 72 * 40, 48 << 22
#: Sums of activations of an edge, which every thread has, and those that all add up to.
VALUES = 40
#: A count of (feature, token): eight bytes and a column, and as much while two parts are added.
TOKEN_COUNT = 24
#: A kept place of a feature.
PLACE = 20
#: A context as rows of text, with the key by which it is found, and its copy in order.
CONTEXT = 1100
#: A row of `firings` and one of `feature_tokens`, with their texts.
FIRING, FEATURE_TOKEN = 300, 250
#: A document beside its text, and a token id that is kept.
DOCUMENT, TOKEN = 700, 4
#: Dense activations of a batch of one SAE: before and after the nonlinearity, and a comparison.
DENSE = 4 + 4 + 4
#: Rows of the residual stream that a block of the model holds beside its MLP's.
STREAMS = 8
#: Blocks of logit weights that live together, of `LOGIT_FEATURES` features each.
LOGIT_BLOCKS, LOGIT_FEATURES = 6, 256

# Shares of the demo. They depend on text and SAE: what follows from them is an order of magnitude.

#: Tested pairs that get sums (0.121; 0.13 at layer 9 of the same model), and that survive (0.114).
KEPT, SURVIVING = 0.125, 0.115
#: Pairs with sums that a live feature is taken to have at most (127; 305 at layer 9).
KEPT_OF_FEATURE = 1000
#: Spread of the log firing rate, for SAEs whose rates are not known (1.38; 1.5 is as common).
SPREAD = 1.4
#: Exponents of the number of different (feature, token): by all codes (0.894 of 12.5 million),
#: and by how many times a sample of some thousand positions grows (0.72).
HEAPS, GROWTH = 0.9, 0.72
#: Significant pairs among the tested, and edges kept among `top_k` times the live features.
SIGNIFICANT: Mapping[str, float] = MappingProxyType(
    {"token": 0.089, "topic": 0.0023, "exclusive": 0.025, "feeds": 0.089}
)
KEPT_OF_BOUND: Mapping[str, float] = MappingProxyType(
    {"token": 0.60, "topic": 0.6, "exclusive": 0.30, "feeds": 0.60}
)
#: Least share of tested pairs that token edges are taken for significant at.
FEWEST = 0.03
#: Strong token edges of a feature (0.9), similar pairs of a kept neighbour (0.7), implications of
#: a feature (1.1).
STRONG, SIMILAR, IMPLIES = 1.0, 0.7, 1.1
#: Rate at which kept firings name new positions (0.33 of them after 0.56 firings a position).
PLACING_NEW = 0.7
#: Rate at which rows of `feature_tokens` name new tokens (28,913 of 49,152 after 242,585 rows).
NAMING = 0.18
#: Firings of the rarer feature of an edge, by those of a mean feature.
RARER = 0.95

#: Parquet bytes of a row, and of a file without rows; a context and a firing by 24 tokens.
ROW: Mapping[str, float] = MappingProxyType(
    {
        "features": 170.0, "edges": 185.0, "implies": 58.0, "similar": 13.0, "feeds": 150.0,
        "feature_tokens": 10.2, "firings": 30.0, "contexts": 95.0, "documents": 19.0,
        "tokens": 14.8, "vectors": 3100.0, "concepts": 25.0, "about": 42.0,
    }
)  # fmt: skip
FILE, FILE_COLUMN = 1000, 500
#: Parquet bytes of an edge's joint firings in a fold: most are 0, and weak edges are left out.
JOINT_BY_FOLD = 0.3

# Neo4j.

#: Bytes of transaction log by byte of store (measured while the demo was loaded), and the most
#: that Neo4j keeps of it: 2 GB and the file being written.
LOG, LOG_MOST = 1.5, (2 << 30) + (256 << 20)

# Seconds, where nothing is measured in a plan's run (two cores).

#: A pair with sums, tested and written; a survivor, adjusted and ranked; a row of a table.
TEST, CHOOSE, WRITE_ROW = 1.5e-6, 2.5e-6, 2e-6
#: A firing that is looked up for an edge, where a sample has too few of them to say.
LOOKUP = 8e-9
#: A feature's words, labels and rows.
DESCRIBE = 3e-4
