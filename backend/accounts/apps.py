from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "backend.accounts"
    label = "accounts"

    def ready(self) -> None:
        from backend.accounts import roles

        # Permissions come into being after the migrations of their app; auth's own receiver was connected before.
        post_migrate.connect(roles.grant, dispatch_uid="backend.accounts.roles")
