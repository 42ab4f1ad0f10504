"""Problems -> responses: prompts rendered and encoded, drawn in chunks, each chunk one table of the `samples`
schema.
"""

from onoff_core.sampling.chunks import Begun, Chunk, ResponseKey, chunks_of
from onoff_core.sampling.pieces import Piece, Pieces
from onoff_core.sampling.sample import rewritten, sample_chunks
from onoff_core.sampling.thinking import NO_PLAN, ThinkingPlan, facts_of_tags, resolve_tags, thinking_plan

__all__ = [
    "NO_PLAN",
    "Begun",
    "Chunk",
    "Piece",
    "Pieces",
    "ResponseKey",
    "ThinkingPlan",
    "chunks_of",
    "facts_of_tags",
    "resolve_tags",
    "rewritten",
    "sample_chunks",
    "thinking_plan",
]
