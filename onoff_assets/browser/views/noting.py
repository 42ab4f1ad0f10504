"""Notes on the response that is shown, and on its tokens: a star, tags, a comment. Off where the browser only reads."""

import dataclasses
import getpass
from collections.abc import Callable, Sequence

import streamlit as st

from onoff_assets.browser.noted import notes_in
from onoff_assets.browser.reading import Key, Reader, Responses, Sample
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.views import common
from onoff_core.errors import OnoffError
from onoff_core.store.notes import LONGEST_COMMENT, Note, checked, new_note

_EXCERPT = 120  # characters


def notes_of(reader: Reader, key: Key, sample: Sample) -> list[Note]:
    """The notes on a response and its tokens, the latest first."""
    return [
        note
        for note in notes_in(reader).of_partition(key)
        if (note.problem_id, note.sample_index) == (sample.problem_id, sample.sample_index)
    ]


def author() -> str:
    """Who writes: the name given in this session, else the account that the browser runs under."""
    return str(st.session_state.get("author") or getpass.getuser())


def controls(reader: Reader, responses: Responses, sample: Sample, notes: Sequence[Note]) -> None:
    """A star, and a form for the rest; nothing where the browser only reads."""
    if common.is_read_only():
        return
    starred = [note for note in notes if note.star and note.position is None]
    st.button(
        "★ starred" if starred else "☆ star",
        key="star",
        shortcut="s",
        on_click=_toggle_star,
        args=(reader, responses, sample, starred),
    )
    _form(reader, responses, sample)


def _form(reader: Reader, responses: Responses, sample: Sample) -> None:
    kept = st.session_state.get("notes-kept", 0)  # a key of its own after each note: it opens closed
    with st.popover("✎ note", key=f"note-form-{kept}"):
        known = sorted({tag for note in notes_in(reader).of_partition(_key(responses)) for tag in note.tags})
        with st.form("note", clear_on_submit=True, border=False):
            st.radio("On", ["this response", "the token that is picked"], key="note-on", horizontal=True)
            st.multiselect("Tags", known, key="note-tags", accept_new_options=True, placeholder="any words")
            st.text_area("Comment", key="note-comment", max_chars=LONGEST_COMMENT)
            st.text_input("By", value=author(), key="note-author", max_chars=100)
            st.form_submit_button("keep the note", on_click=_keep, args=(reader, responses, sample))


def _key(responses: Responses) -> Key:
    return responses.samples.partition[0], responses.samples.partition[1]


def _toggle_star(reader: Reader, responses: Responses, sample: Sample, starred: Sequence[Note]) -> None:
    def change() -> None:
        for note in starred:
            _without_star(reader, note)
        if not starred:
            fresh = _fresh(responses, sample, None, "")
            notes_in(reader).write(_with(fresh, star=True))

    _told(change)


def set_star(reader: Reader, key: Key, problem_id: str, sample_index: int, wanted: bool) -> None:
    """Star a response, or take its star away, whatever it has now. An error is kept for the page to show."""
    responses = reader.responses(key, partial=True)
    sample = reader.sample(responses, problem_id, sample_index)
    starred = [note for note in notes_of(reader, key, sample) if note.star and note.position is None]
    if wanted != bool(starred):
        _toggle_star(reader, responses, sample, starred)


def _without_star(reader: Reader, note: Note) -> None:
    if note.tags or note.comment:
        notes_in(reader).revise(note, author(), star=False, tags=note.tags, comment=note.comment)
    else:
        notes_in(reader).remove(note, author())


def _keep(reader: Reader, responses: Responses, sample: Sample) -> None:
    state = st.session_state
    state["author"] = state["note-author"]
    position, excerpt = None, ""
    if state["note-on"] != "this response":
        picked = st.query_params.get("token", "")
        if not (picked.isdecimal() and int(picked) < len(sample.token_ids)):
            state["note-error"] = "No token is picked: click one first."
            return
        position = int(picked)
        vocabulary = reader.vocabulary(responses.samples.partition[1])
        excerpt = "" if vocabulary is None else vocabulary.label(sample.token_ids[position])
    fresh = _fresh(responses, sample, position, excerpt)
    made = _with(
        fresh,
        tags=tuple(tag.strip() for tag in state["note-tags"] if tag.strip()),
        comment=state["note-comment"].strip(),
    )
    if made.is_empty:
        state["note-error"] = "The note is empty: give it a tag or a comment."
        return
    if _told(lambda: notes_in(reader).write(checked(made))):
        state["notes-kept"] = state.get("notes-kept", 0) + 1
        st.toast("The note is kept.")


def _fresh(responses: Responses, sample: Sample, position: int | None, excerpt: str) -> Note:
    samples = responses.samples
    return new_note(
        author=author(),
        key=_key(responses),
        samples=samples.fingerprint,
        problem_id=sample.problem_id,
        sample_index=sample.sample_index,
        position=position,
        excerpt=excerpt or sample.response[:_EXCERPT],
    )


def _with(note: Note, star: bool = False, tags: tuple[str, ...] = (), comment: str = "") -> Note:
    return dataclasses.replace(note, star=star, tags=tags, comment=comment)


def _told(change: Callable[[], None]) -> bool:
    """Change something, and whether that went well; an error is shown on the page."""
    try:
        change()
    except OnoffError as error:
        st.session_state["note-error"] = str(error)
        return False
    return True


def show(notes: Sequence[Note], samples: str) -> None:
    """The notes on this response, each with a button that removes it; `samples` is the fingerprint of what is shown."""
    if error := st.session_state.pop("note-error", None):
        st.error(escaped(error))
    for note in notes:
        if note.position is None and note.star and not note.tags and not note.comment:
            continue  # the star is in its button
        with st.container(horizontal=True, vertical_alignment="center"):
            former = "" if note.samples == samples else " – made on former responses, so it may mean another one"
            st.markdown(escaped(words_of(note) + former))
            if not common.is_read_only():
                st.button("remove", key=f"remove-{note.note}", on_click=_remove, args=(note,))


def words_of(note: Note) -> str:
    """A note on one line."""
    where = "" if note.position is None else f"token {note.position} {visible(note.excerpt, 30)}: "
    star = "★ " if note.star else ""
    tags = ", ".join(f"#{visible(tag)}" for tag in note.tags)
    said = " · ".join(part for part in (tags, visible(note.comment, 400)) if part)  # a tag may have several words
    return f"✎ {star}{where}{said} ({visible(note.author, 40)})"


def _remove(note: Note) -> None:
    reader = common.reader()
    _told(lambda: notes_in(reader).remove(note, author()))
