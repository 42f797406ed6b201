"""Wishlists: places that somebody wants to remember, in lists with a name."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.core.sealed import SealedTextField, blind_index
from backend.listings.models import Listing

NAME_LONGEST = 80


class Wishlist(models.Model):
    """A list of somebody's. ``share_token`` opens it to whoever has it; empty: nobody else knows of it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="wishlists", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=NAME_LONGEST)
    share_token = SealedTextField(blank=True, index="share_token", editable=False)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "wishlists"
        verbose_name = _("wishlist")
        verbose_name_plural = _("wishlists")
        indexes = [
            models.Index(fields=["user", "-id"], name="wishlists_user"),
            blind_index("share_token", name="wishlists_share_token"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.name}"


class WishlistPlace(models.Model):
    """A listing on a wishlist."""

    wishlist = models.ForeignKey(
        Wishlist, on_delete=models.CASCADE, related_name="places", verbose_name=_("wishlist")
    )
    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="+", verbose_name=_("listing")
    )
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "wishlist_places"
        verbose_name = _("place on a wishlist")
        verbose_name_plural = _("places on wishlists")
        constraints = [
            models.UniqueConstraint(fields=["wishlist", "listing"], name="wishlist_places_once"),
        ]

    def __str__(self) -> str:
        return f"{self.wishlist_id}: {self.listing_id}"
