"""A response in a notebook: HTML that Jupyter, VS Code and marimo show, and that needs no server and no extension."""

import html
from dataclasses import dataclass
from typing import Any, get_args

from onoff_assets.browser.reading import Reader
from onoff_assets.report.response_page import Theme, response_page, tokens_of
from onoff_core.errors import StoreError
from onoff_core.frames import OpenStudy
from onoff_core.study import split_partition_key


@dataclass(frozen=True)
class ResponseView:
    """A response as the browser shows it. A notebook shows it where it is a cell's last value."""

    page: str  # a whole HTML page
    height: int  # pixels

    def _repr_html_(self) -> str:
        """The page in a frame of its own, in which its script runs and nothing of the notebook can be reached."""
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" sandbox="allow-scripts allow-downloads" '
            f'title="a response, token by token" style="width:100%;height:{self.height}px;border:0"></iframe>'
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"ResponseView({len(self.page):,} bytes of HTML)"

    def save(self, path: str) -> None:
        """Write the page as a file, to open or to send."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.page)


def response_view(
    study: OpenStudy,
    partition: str,
    problem_id: str,
    sample_index: int,
    *,
    token: int | None = None,
    alternatives: int = 10,
    height: int = 640,
    theme: Theme | None = None,
) -> ResponseView:
    """See `OpenStudy.view`."""
    if not 0 <= alternatives <= 1000:
        raise StoreError(f"alternatives={alternatives}: 0 to 1000 are wanted")
    if theme not in (None, *get_args(Theme)):
        raise StoreError(f"theme={theme!r}: light, dark or None is wanted")
    study.check_response(partition, problem_id, sample_index)
    reader = Reader(study.store)
    names = split_partition_key(partition)
    tokens = tokens_of(reader, reader.responses((names.dataset, names.model)), problem_id, sample_index)
    return ResponseView(
        response_page(tokens, alternatives=alternatives, token=token, embedded=True, theme=theme), height
    )
