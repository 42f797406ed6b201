"""Paths as ours."""

from __future__ import annotations

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from bench.peers.market.views import BookingViewSet, PropertyViewSet

router = SimpleRouter()
router.register("properties", PropertyViewSet)
router.register("bookings", BookingViewSet)

urlpatterns = [path("api/", include(router.urls))]
