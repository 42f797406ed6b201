"""What stands beside every list."""

from __future__ import annotations

from typing import Any

from django import template

from admin_site.frame import saved_filters

register = template.Library()


@register.inclusion_tag("admin_site/saved_filters.html", takes_context=True)
def saved_filters_of(context: Any, cl: Any) -> dict[str, Any]:
    """The filters that were kept for the list ``cl``, and the form that keeps those in force."""
    request, page = context["request"], cl.model._meta.label_lower
    query = saved_filters.narrowed(request.GET.urlencode())
    rows = [
        {"row": row, "is_own": row.owner_id == request.user.pk, "is_on": row.query == query}
        for row in saved_filters.of_list(request.user, page)
    ]
    return {
        "rows": rows,
        "query": query,
        "page": page,
        "request": request,
        "on": any(r["is_on"] for r in rows),
    }
