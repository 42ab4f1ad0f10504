"""Problems -> responses: prompts rendered and encoded, drawn in chunks, each chunk one table of the `samples`
schema.
"""

from onoff_core.sampling.chunks import Chunk, chunks_of
from onoff_core.sampling.sample import sample_chunks
from onoff_core.sampling.thinking import NO_PLAN, ThinkingPlan, facts_of_tags, resolve_tags, thinking_plan

__all__ = [
    "NO_PLAN",
    "Chunk",
    "ThinkingPlan",
    "chunks_of",
    "facts_of_tags",
    "resolve_tags",
    "sample_chunks",
    "thinking_plan",
]
