from django.apps import AppConfig


class ListingsConfig(AppConfig):
    name = "backend.listings"
    label = "listings"

    def ready(self) -> None:
        # What listings tell notices; whoever writes notices knows no listings.
        from backend.listings import naming  # noqa: F401
