"""How much one request may ask: levels, and how many values would be read and shown at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from api.pagination import PAGE_SIZE
from backend.core.errors import DomainError

DEPTH, COST, FIELDS, LENGTH = 8, 20_000, 12, 20_000
"""Levels; values (a list counts as often as its page is long); fields at the top; characters of a document."""

OF_SCHEMA, OF_SCHEMA_DEPTH = ("__schema", "__type"), 16
"""Levels of what asks for the schema itself: what tools send goes deep and reads no rows."""


class TooComplex(DomainError):
    """400: the request asks for more than one may at a time."""

    status = 400
    code = "too_complex"
    title = _("This asks for too much at once.")


@dataclass
class Measured:
    """``fields``: how many fields stand at the top, each of which is read for itself."""

    cost: int = 0
    fields: int = 0
    is_too_deep: bool = False

    @property
    def is_too_much(self) -> bool:
        return self.is_too_deep or self.cost > COST or self.fields > FIELDS


def measure(document: DocumentNode, variables: Mapping[str, Any]) -> Measured:
    """What the operations of ``document`` ask for at most, as far as it is not too much already.

    A fragment that holds itself is left to validation.
    """
    fragments = {
        each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
    }
    found = Measured()

    def walk(
        selections: SelectionSetNode | None, level: int, deepest: int, times: int, inside: frozenset[str]
    ) -> None:
        for node in selections.selections if selections else ():
            if found.is_too_much:
                return
            if isinstance(node, FieldNode):
                is_top = level == 1
                found.cost, found.fields = found.cost + times, found.fields + is_top
                found.is_too_deep = level > deepest
                if is_top and node.name.value in OF_SCHEMA:
                    walk(node.selection_set, level + 1, OF_SCHEMA_DEPTH, 1, inside)
                else:
                    # Lists stand at the top, and name there how long a page is.
                    rows = _page_size(node, variables) if is_top else 1
                    walk(node.selection_set, level + 1, deepest, times * rows, inside)
            elif isinstance(node, InlineFragmentNode):
                walk(node.selection_set, level, deepest, times, inside)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in inside:
                spread = fragments.get(node.name.value)
                if spread is not None:
                    walk(spread.selection_set, level, deepest, times, inside | {node.name.value})

    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            walk(definition.selection_set, 1, DEPTH, 1, frozenset())
    return found


def require(document: DocumentNode, variables: Mapping[str, Any]) -> Measured:
    """What is asked for. Raises: TooComplex beyond a limit, with all of them beside."""
    found = measure(document, variables)
    if found.is_too_much:
        raise TooComplex(extra={"limits": {"depth": DEPTH, "cost": COST, "fields": FIELDS}})
    return found


def _page_size(node: FieldNode, variables: Mapping[str, Any]) -> int:
    for argument in node.arguments or ():
        if argument.name.value == "page_size":
            value = argument.value
            given: Any = None
            if isinstance(value, IntValueNode):
                given = int(value.value)
            elif isinstance(value, VariableNode):
                given = variables.get(value.name.value)
            if isinstance(given, int):
                return max(1, min(given, PAGE_SIZE))
    return PAGE_SIZE
