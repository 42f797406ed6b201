from django.apps import AppConfig


class ModerationConfig(AppConfig):
    name = "backend.moderation"
    label = "moderation"

    def ready(self) -> None:
        from backend.listings import services as listings
        from backend.moderation import letters, reasons, strikes
        from backend.notifications import composing, rendering

        listings.MAY_OFFER.append(strikes.require_unblocked)
        rendering.REASONS.update({code: each.sentence for code, each in reasons.REASONS.items()})
        rendering.REASONS.update(letters.OUTCOMES)
        for group in ("listing", "account", "message"):
            composing.FACTS[group] = letters.facts
