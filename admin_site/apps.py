from django.apps import AppConfig


class AdminSiteConfig(AppConfig):
    name = "admin_site"

    def ready(self) -> None:
        from django.contrib import admin
        from django.contrib.admin import sites

        from admin_site.frame.site import BackOffice

        # Before the admin's own discovery, so that every ``admin.site.register`` meets our site.
        admin.site = sites.site = BackOffice()
