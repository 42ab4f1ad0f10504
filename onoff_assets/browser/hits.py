"""Which characters of which tokens a search finds: what is looked for is a text, and what is shown are its tokens."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from onoff_assets.browser.pieces import Piece
from onoff_assets.browser.queries import read_query
from onoff_assets.browser.response_rows import COLUMNS
from onoff_assets.browser.searching import Search, hits

Hit = tuple[int, int, int, int]  # first token, the hit's beginning in its text, last token, the hit's end in its text


def search_of(address: Mapping[str, str]) -> Search | None:
    """What the address looks for in the responses; None where that is nothing, or no expression."""
    query, _ = read_query(address, COLUMNS, searches=True)
    search = Search(query.text, query.is_regex)
    return search if query.text and search.fault() is None else None


def token_hits(pieces: Sequence[Piece], response: str, search: Search) -> list[Hit]:
    """The hits in a response, by the pieces of its tokens. Places in a text count UTF-16 units, as JavaScript does."""
    starts = [0, *accumulate(len(piece.text) for piece in pieces)]
    text = "".join(piece.text for piece in pieces)[: len(response)]  # behind it is only the stop token
    found = []
    for begin, end in hits(text, search):
        first, last = bisect_right(starts, begin) - 1, bisect_right(starts, end - 1) - 1
        before, inside = pieces[first].text[: begin - starts[first]], pieces[last].text[: end - starts[last]]
        found.append((first, _utf16(before), last, _utf16(inside)))
    return found


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
