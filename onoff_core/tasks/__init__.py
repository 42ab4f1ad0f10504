"""Question -> prompt, response -> extracted answer.

A task is a template (how a conversation is written for a model) and a format (what the model is asked to end with,
and where the answer is then looked for). Values in, values out: this package makes the text for a tokenizer and
knows no tokenizer.
"""

from onoff_core.tasks.formats import Extraction, extract_answer, find_answer, instruction, without_thinking
from onoff_core.tasks.paragraphs import paragraph_ends, paragraph_starts
from onoff_core.tasks.templates import (
    ChatTemplate,
    Message,
    Prompt,
    examples_without_thinking,
    messages_of,
    render_message,
    render_prompt,
)
from onoff_core.tasks.thinking import Parts, known_tags, opened_by, parts_of, step_starts, tags_of_template

__all__ = [
    "ChatTemplate",
    "Extraction",
    "Message",
    "Parts",
    "Prompt",
    "examples_without_thinking",
    "extract_answer",
    "find_answer",
    "instruction",
    "known_tags",
    "messages_of",
    "opened_by",
    "paragraph_ends",
    "paragraph_starts",
    "parts_of",
    "render_message",
    "render_prompt",
    "step_starts",
    "tags_of_template",
    "without_thinking",
]
