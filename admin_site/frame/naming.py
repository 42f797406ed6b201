"""Names of models that their libraries, or Django out of a field's own name, say in English only.

Our own models mark their words. What is left are other people's, and ids: they are looked up in our catalogues like any
other word when a page is made.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.admin import AdminSite
from django.utils.translation import gettext_lazy


def translate(site: AdminSite) -> None:
    """Let every name on the pages of ``site`` be one of the reader's language."""
    pages = site._registry
    for label in {model._meta.app_label for model in pages}:
        _name(apps.get_app_config(label), "verbose_name")
    for model in {*pages, *(inline.model for page in pages.values() for inline in page.inlines)}:
        _name(model._meta, "verbose_name")
        _name(model._meta, "verbose_name_plural")
        for field in model._meta.get_fields():
            _name(field, "verbose_name")
            words = getattr(field, "choices", None)
            if words and all(type(label) is str for _value, label in words):
                field.choices = [(value, _lazy(label)) for value, label in words]


def _name(named: Any, attribute: str) -> None:
    word = getattr(named, attribute, None)
    if type(word) is str and word:
        setattr(named, attribute, _lazy(word))


def _lazy(word: str) -> Any:
    return gettext_lazy(word)
