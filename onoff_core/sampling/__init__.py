"""Problems -> responses: prompts rendered and encoded, drawn in chunks, each chunk one table of the `samples`
schema.
"""

from onoff_core.sampling.chunks import Begun, Chunk, ResponseKey, chunks_of
from onoff_core.sampling.pieces import Piece, Pieces
from onoff_core.sampling.sample import cut_responses, sample_chunks

__all__ = ["Begun", "Chunk", "Piece", "Pieces", "ResponseKey", "chunks_of", "cut_responses", "sample_chunks"]
