"""Every table with its columns and their units, and every asset with its tables.

One source for files, manifests, the catalog and its comments, the Dagster UI and the browser.
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from onoff_core.branch_tables import BRANCH_POSITIONS, BRANCH_PROBLEMS, BRANCHES, CONTINUATIONS
from onoff_core.confidence_tables import (
    CONFIDENCE,
    CONFIDENCE_BINS,
    CONFIDENCE_COVERAGE,
    CONFIDENCE_PROBLEMS,
    CONFIDENCE_STATISTICS,
    CONFIDENCE_STOPPING,
    CONFIDENCE_VOTING,
)
from onoff_core.cross_tables import CROSS_RESPONSES, CROSS_SCORES, CROSS_STATISTICS
from onoff_core.grid_tables import (
    COMPARISONS,
    PROBLEM_STATISTICS,
    PROBLEMS,
    REWARDS,
    SAMPLES,
    SECOND_OPINION_STATISTICS,
    SECOND_OPINIONS,
    STATISTICS,
    TOKEN_DISTRIBUTIONS,
    VOCABULARY,
)
from onoff_core.rollout_tables import ROLLOUT_MISMATCH, ROLLOUT_MISMATCH_STATISTICS
from onoff_core.thinking_tables import PART_STATISTICS, RESPONSE_PARTS, THINKING_BUDGETS

SCHEMA_VERSION = 1
UNKNOWN = "unknown"  # the finish_reason of an imported response
LENGTH, LENGTH_IN_THINKING = "length", "length_in_thinking"
TRUNCATED = (LENGTH, LENGTH_IN_THINKING)  # the finish_reasons of responses that max_length ended


@dataclass(frozen=True)
class Table:
    """What the store keeps of an asset under one name: Parquet fragments of one schema."""

    name: str
    schema: pa.Schema
    meaning: str  # one row per ...
    made_from: tuple[str, ...]  # the tables that its manifest names as inputs; the first is the one that it follows
    partitioned_by: tuple[str, ...]  # the columns that name a partition, and the folders below the table's own
    in_catalog: Literal["copy", "view"]  # a copy is fast to join and costs the catalog its size
    code_version: str = "1"  # raised when the code comes to mean something else, which makes older results stale


@dataclass(frozen=True)
class Asset:
    """What a user materializes of each partition: one table, and what else is made with it."""

    name: str  # also of its first table
    letter: str  # where there is room for one character
    tables: tuple[Table, ...]
    optional: bool = False  # made of the partitions whose settings ask for it, and of no others

    @property
    def code_version(self) -> str:
        return self.tables[0].code_version


_DATASET, _MODEL, _GRID = ("dataset",), ("model",), ("dataset", "model")

# What is kept beside the results: readers need neither data sets nor tokenizers, and compare nothing themselves.
_BESIDE = (
    Table("problems", PROBLEMS, "one row per problem", (), _DATASET, "copy", "2"),
    Table("vocabulary", VOCABULARY, "one row per token id", (), _MODEL, "view"),
    # Made anew when the statistics of one of the data set's models are.
    Table("comparisons", COMPARISONS, "one row per two models, statistic and k", (), _DATASET, "copy"),
)
_OF_ALL = ("token_distributions", "rewards", "samples")
# The assets of a partition, in the order in which they are made. CONTRIBUTING.md says how to add one.
ASSETS = (
    Asset(
        "samples",
        "S",
        (Table("samples", SAMPLES, "one row per response", ("problems",), _GRID, "view"),),
    ),
    Asset(
        "rewards",
        "R",
        (Table("rewards", REWARDS, "one verdict per response", ("samples", "problems"), _GRID, "copy", "7"),),
    ),
    Asset(
        "statistics",
        "A",
        (
            Table("statistics", STATISTICS, "one row per partition", ("rewards", "samples"), _GRID, "copy", "3"),
            Table(
                "problem_statistics",
                PROBLEM_STATISTICS,
                "one row per problem and model",
                ("rewards", "samples"),
                _GRID,
                "copy",
                "3",
            ),
            # Of partitions with task.thinking alone.
            Table(
                "thinking_budgets",
                THINKING_BUDGETS,
                "one row per budget of thinking",
                ("rewards", "samples"),
                _GRID,
                "copy",
            ),
        ),
    ),
    Asset(
        "token_distributions",
        "T",
        (
            Table("token_distributions", TOKEN_DISTRIBUTIONS, "one row per token", ("samples",), _GRID, "view"),
            # Of imported responses with log-probabilities alone.
            Table(
                "rollout_mismatch",
                ROLLOUT_MISMATCH,
                "one row per response and pair of log-probabilities",
                ("samples",),
                _GRID,
                "copy",
            ),
            Table(
                "rollout_mismatch_statistics",
                ROLLOUT_MISMATCH_STATISTICS,
                "one row per partition and pair of log-probabilities",
                ("samples",),
                _GRID,
                "copy",
            ),
            # Of partitions with task.thinking alone.
            Table(
                "response_parts",
                RESPONSE_PARTS,
                "one row per response and part of it",
                ("samples",),
                _GRID,
                "copy",
            ),
            Table(
                "part_statistics",
                PART_STATISTICS,
                "one row per partition and part of its responses",
                ("samples",),
                _GRID,
                "copy",
            ),
        ),
    ),
)
# Made of the partitions whose settings ask for them.
_PAIRS = ("dataset", "model", "reference")
OPTIONAL_ASSETS = (
    Asset(
        "cross_scores",
        "X",
        (
            Table("cross_scores", CROSS_SCORES, "one row per token and reference", ("samples",), _PAIRS, "view"),
            Table(
                "cross_responses", CROSS_RESPONSES, "one row per response and reference", ("samples",), _PAIRS, "copy"
            ),
            Table(
                "cross_statistics",
                CROSS_STATISTICS,
                "one row per partition, reference and kind of text",
                ("samples",),
                _PAIRS,
                "copy",
            ),
        ),
        optional=True,
    ),
    Asset(
        "branches",
        "B",
        (
            Table("branches", BRANCHES, "one row per token taken at a position of a response", _OF_ALL, _GRID, "copy"),
            Table("continuations", CONTINUATIONS, "one row per continuation of a branch", _OF_ALL, _GRID, "view"),
            Table("branch_positions", BRANCH_POSITIONS, "one row per position with branches", _OF_ALL, _GRID, "copy"),
            Table("branch_problems", BRANCH_PROBLEMS, "one row per problem with branches", _OF_ALL, _GRID, "copy"),
        ),
        optional=True,
    ),
    Asset(
        "second_opinions",
        "O",
        (
            Table("second_opinions", SECOND_OPINIONS, "two verdicts per response", ("rewards",), _GRID, "copy"),
            Table(
                "second_opinion_statistics",
                SECOND_OPINION_STATISTICS,
                "how often the two verdicts differ: one row per partition",
                ("rewards",),
                _GRID,
                "copy",
            ),
        ),
        optional=True,
    ),
    Asset(
        "confidence",
        "C",
        (
            Table("confidence", CONFIDENCE, "how sure the model was: one row per response", _OF_ALL, _GRID, "view"),
            Table(
                "confidence_problems",
                CONFIDENCE_PROBLEMS,
                "how far the responses agree: one row per problem",
                _OF_ALL,
                _GRID,
                "copy",
            ),
            Table(
                "confidence_statistics",
                CONFIDENCE_STATISTICS,
                "how well a measure tells right from wrong: one row per measure",
                _OF_ALL,
                _GRID,
                "copy",
            ),
            Table(
                "confidence_bins", CONFIDENCE_BINS, "reliability: one row per measure and bin", _OF_ALL, _GRID, "copy"
            ),
            Table(
                "confidence_coverage",
                CONFIDENCE_COVERAGE,
                "selective accuracy: one row per measure and coverage",
                _OF_ALL,
                _GRID,
                "copy",
            ),
            Table(
                "confidence_voting",
                CONFIDENCE_VOTING,
                "answers chosen by confidence: one row per rule, measure and k",
                _OF_ALL,
                _GRID,
                "copy",
            ),
            Table(
                "confidence_stopping",
                CONFIDENCE_STOPPING,
                "responses stopped early, simulated: one row per share kept and k",
                _OF_ALL,
                _GRID,
                "copy",
            ),
        ),
        optional=True,
    ),
)
PART_TABLES = ("response_parts", "part_statistics")
THINKING_TABLES = ("thinking_budgets", *PART_TABLES)  # made where task.thinking is set
GRID_ASSETS = tuple(asset.name for asset in ASSETS)
OPTIONAL = tuple(asset.name for asset in OPTIONAL_ASSETS)
BRANCH_TABLES, CONFIDENCE_TABLES = (
    tuple(table.name for asset in OPTIONAL_ASSETS if asset.name == name for table in asset.tables)
    for name in ("branches", "confidence")
)
TABLES = {
    table.name: table
    for table in (*_BESIDE, *(table for asset in (*ASSETS, *OPTIONAL_ASSETS) for table in asset.tables))
}
SCHEMAS = {table.name: table.schema for table in TABLES.values()}
CODE_VERSIONS = {
    **{table.name: table.code_version for table in TABLES.values()},
    "leaderboard": "1",  # made of all partitions' statistics; it has no table of its own
}
