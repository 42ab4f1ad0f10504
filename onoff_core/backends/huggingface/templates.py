"""What a chat template asks for: the variables it reads, found without rendering it."""

from functools import lru_cache

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Given by the tokenizer or by us, whatever the settings say.
_GIVEN = {"messages", "add_generation_prompt", "bos_token", "eos_token", "unk_token", "pad_token", "raise_exception"}


class _GenerationBlocks(Extension):
    """`{% generation %}`, by which templates mark what the assistant says; here it is its content alone."""

    tags = {"generation"}  # noqa: RUF012, as the library declares it

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@lru_cache(maxsize=8)
def variables_of(template: str) -> frozenset[str]:
    """The variables that a template looks up and does not make itself; those that it has a default for are among them.

    Raises `jinja2.TemplateError` where it is no template.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, loopcontrols]
    )
    return frozenset(meta.find_undeclared_variables(environment.parse(template)))


def arguments_of(template: str) -> list[str]:
    """The variables that somebody may set, by name."""
    functions = set(jinja2.defaults.DEFAULT_NAMESPACE) | {"strftime_now"}
    return sorted(variables_of(template) - _GIVEN - functions)
