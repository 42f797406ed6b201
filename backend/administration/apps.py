from django.apps import AppConfig


class AdministrationConfig(AppConfig):
    name = "backend.administration"
    label = "administration"

    def ready(self) -> None:
        from backend.administration import services  # noqa: F401 - registers its rules
