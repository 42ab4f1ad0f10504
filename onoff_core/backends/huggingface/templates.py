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
    """The variables that a template looks up before it sets them; those that it has a default for are among them.

    Raises `jinja2.TemplateError` where it is no template.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, loopcontrols]
    )
    tree = environment.parse(template)
    # jinja calls undeclared what some branch may leave unset. What is set first is the template's own all the same.
    looked_up: dict[str, bool] = {}
    _uses(tree, looked_up, frozenset())
    return frozenset(name for name in meta.find_undeclared_variables(tree) if looked_up.get(name, True))


def _uses(node: nodes.Node, looked_up: dict[str, bool], own: frozenset[str]) -> None:
    """Of each name, whether its first use is to look it up, in the order in which it would be run. `own`: parameters of
    the macro that the node is in.
    """
    if isinstance(node, nodes.Name) and node.name not in own and node.ctx != "param":
        looked_up.setdefault(node.name, node.ctx == "load")
    if isinstance(node, (nodes.Macro, nodes.CallBlock)):
        own = own | {argument.name for argument in node.args}
    children = list(node.iter_child_nodes())
    if isinstance(node, (nodes.Assign, nodes.AssignBlock, nodes.For)):  # what is set comes last
        targets = [child for child in children if child is node.target]
        children = [child for child in children if child is not node.target]
        children[1 if isinstance(node, nodes.For) else len(children) : 0] = targets
    for child in children:
        _uses(child, looked_up, own)


def arguments_of(template: str) -> list[str]:
    """The variables that somebody may set, by name."""
    functions = set(jinja2.defaults.DEFAULT_NAMESPACE) | {"strftime_now"}
    return sorted(variables_of(template) - _GIVEN - functions)
