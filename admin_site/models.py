"""What the back office keeps for itself: nothing of the business."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class SavedFilter(models.Model):
    """Filters of a list that somebody will want again, by a name; for themselves, or for all who see the list.

    Words that were searched for are not among them: they may name people.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="saved_filters",
        verbose_name=_("owner"),
    )
    page = models.CharField(_("list"), max_length=80)
    name = models.CharField(_("name"), max_length=60)
    query = models.CharField(_("filters"), max_length=1000)
    is_shared = models.BooleanField(_("for everybody"), default=False)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "saved_filters"
        verbose_name = _("saved filter")
        verbose_name_plural = _("saved filters")
        constraints = [
            models.UniqueConstraint(fields=["owner", "page", "name"], name="saved_filters_own_name"),
            models.CheckConstraint(
                condition=~models.Q(name="") & ~models.Q(query=""), name="saved_filters_say"
            ),
        ]
        indexes = [
            models.Index(fields=["page"], condition=models.Q(is_shared=True), name="saved_filters_shared")
        ]

    def __str__(self) -> str:
        return self.name
