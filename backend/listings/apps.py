from django.apps import AppConfig


class ListingsConfig(AppConfig):
    name = "backend.listings"
    label = "listings"
