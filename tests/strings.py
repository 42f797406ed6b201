"""Every string that people may read, as the sources have it: what the guards of the languages go through."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import django
import unfold
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.apps import apps
from django.contrib import admin
from django.utils.translation import override
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("fr", "es", "sw", "ar")
PACKAGES = ("admin_site", "api", "backend", "realtime")

MARKS = {"_": 1, "gettext": 1, "gettext_lazy": 1, "ngettext": 2, "ngettext_lazy": 2}
"""The functions that mark a string, and how many of its forms they take."""

DJANGO = Path(django.__file__).parent
UNFOLD = Path(unfold.__file__).parent
OF_DJANGO = ("contrib/admin", "contrib/auth", "contrib/contenttypes")
"""Parts of Django whose words stand on pages of the back office."""

OF_DJANGOS_CORE = (
    *("core/paginator.py", "core/validators.py", "forms/", "views/csrf.py"),
    *("db/models/base.py", "db/models/constraints.py", "utils/ipv6.py", "utils/timesince.py"),
)
"""The files of its core that speak to people: what forms refuse, and how long ago something was. The rest of its
catalogue are names of languages, words for programmers, and its own welcome."""

_TEXT = r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_ONE = re.compile(rf"(?<!n)(?:gettext|\b_)\({_TEXT}\)")
_SEVERAL = re.compile(rf"ngettext\({_TEXT},\s*{_TEXT},")


@dataclass(frozen=True, slots=True)
class Source:
    """A string of the code; ``plural`` is empty for one without a number."""

    text: str
    plural: str
    where: str


def in_code(roots: Iterable[Path] = tuple(ROOT / name for name in PACKAGES)) -> Iterator[Source]:
    """What is marked in Python."""
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            yield from marked(ast.parse(path.read_text()), _name(path))


def marked(tree: ast.AST, name: str) -> Iterator[Source]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called not in MARKS:
            continue
        texts = [
            arg.value
            for arg in node.args[: MARKS[called]]
            if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
        ]
        if len(texts) == MARKS[called] and texts[0]:
            yield Source(texts[0], texts[1] if len(texts) == 2 else "", f"{name}:{node.lineno}")


def in_templates(roots: Iterable[Path] = tuple(ROOT / name for name in PACKAGES)) -> Iterator[Source]:
    """What is marked in templates: of pages, of mails, of papers."""
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.suffix in (".html", ".txt") and "templates" in path.parts:
                yield from _template(path)


def _template(path: Path) -> Iterator[Source]:
    source, name = templatize(path.read_text(), origin=str(path)), _name(path)
    for found in _ONE.finditer(source):
        yield Source(ast.literal_eval(found[1]), "", name)
    for found in _SEVERAL.finditer(source):
        yield Source(ast.literal_eval(found[1]), ast.literal_eval(found[2]), name)


def of_models() -> Iterator[Source]:
    """The names of what has a page, of its fields, and of the states that these take."""
    with override("en"):
        for model in _models():
            meta = model._meta
            yield Source(str(meta.app_config.verbose_name), "", meta.app_label)
            yield Source(str(meta.verbose_name), "", meta.label)
            yield Source(str(meta.verbose_name_plural), "", meta.label)
            for field in meta.get_fields():
                where = f"{meta.label}.{field.name}"
                if name := getattr(field, "verbose_name", ""):
                    yield Source(str(name), "", where)
                for value, label in getattr(field, "flatchoices", None) or ():
                    if value not in (None, ""):
                        yield Source(str(label), "", where)


def _models() -> list[Any]:
    pages = admin.site._registry
    lines = {inline.model for page in pages.values() for inline in page.inlines}
    return sorted({*pages, *lines}, key=lambda model: str(model._meta.label))


def of_libraries(language: str) -> Iterator[Source]:
    """Unfold's words, which come without any translation, and Django's that ``language`` lacks."""
    known = translated_by_django(language)
    for source in (*_of_unfold(), *_of_django()):
        if source.text not in known:
            yield source


@cache
def _of_unfold() -> tuple[Source, ...]:
    """Without the pages for other libraries."""
    parts = [UNFOLD / "templates", UNFOLD / "contrib" / "filters"]
    code = [
        source for path in UNFOLD.glob("*.py") for source in marked(ast.parse(path.read_text()), path.name)
    ]
    return (*in_templates(parts), *in_code(parts), *code)


@cache
def _of_django() -> tuple[Source, ...]:
    found = [source for source in _messages("conf") if source.where.startswith(OF_DJANGOS_CORE)]
    for part in OF_DJANGO:
        found += _messages(part)
    return tuple(found)


def _messages(part: str) -> Iterator[Source]:
    """What a part of Django marks; of its core with the file where it stands first."""
    with (DJANGO / part / "locale/en/LC_MESSAGES/django.po").open("rb") as file:
        for message in read_po(file, locale="en"):
            if message.id and not message.context:
                one, many = (message.id, "") if isinstance(message.id, str) else message.id
                where = message.locations[0][0] if part == "conf" else f"django.{part}"
                yield Source(one, many, where)


@cache
def translated_by_django(language: str) -> frozenset[str]:
    """What Django says in ``language`` by itself, with the parts of it that are installed."""
    known = set()
    places = [Path(app.path) for app in apps.get_app_configs()]
    parts = [DJANGO / "conf", *(place for place in places if place.is_relative_to(DJANGO))]
    for path in [part / "locale" / language / "LC_MESSAGES" / "django.mo" for part in parts]:
        if not path.exists():
            continue
        with path.open("rb") as file:
            known |= {
                message.id if isinstance(message.id, str) else message.id[0] for message in read_mo(file)
            }
    return frozenset(known)


def ours() -> Iterator[Source]:
    """All strings of this project; words without a letter need no translation."""
    for source in [*in_code(), *in_templates(), *of_models()]:
        if re.search(r"[A-Za-z]|%%", re.sub(r"%(\(\w+\))?[sd]", "", source.text)):
            yield source


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()
