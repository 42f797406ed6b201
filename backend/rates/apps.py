from django.apps import AppConfig


class RatesConfig(AppConfig):
    name = "backend.rates"
    label = "rates"
