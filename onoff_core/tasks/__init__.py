"""Question -> prompt, response -> extracted answer.

A task is a template (how a conversation is written for a model) and a format (what the model is asked to end with,
and where the answer is then looked for). Values in, values out: this package makes the text for a tokenizer and
knows no tokenizer.
"""

from onoff_core.tasks.formats import Extraction, extract_answer, find_answer, instruction, without_thinking
from onoff_core.tasks.templates import ChatTemplate, Message, Prompt, messages_of, render_message, render_prompt

__all__ = [
    "ChatTemplate",
    "Extraction",
    "Message",
    "Prompt",
    "extract_answer",
    "find_answer",
    "instruction",
    "messages_of",
    "render_message",
    "render_prompt",
    "without_thinking",
]
