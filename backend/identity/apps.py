from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "backend.identity"
    label = "identity"

    def ready(self) -> None:
        from backend.core import rotation

        # allauth keeps the secrets of second steps, and jobs the addresses that they write to.
        rotation.inside("mfa.Authenticator", "data")
        rotation.inside("procrastinate.ProcrastinateJob", "args")
