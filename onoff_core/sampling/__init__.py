"""Problems -> responses: prompts rendered and encoded, drawn in chunks, each chunk one table of the `samples`
schema.
"""

from onoff_core.sampling.chunks import Chunk, chunks_of
from onoff_core.sampling.sample import sample_chunks

__all__ = ["Chunk", "chunks_of", "sample_chunks"]
