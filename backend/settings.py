"""The one settings file: a typed environment on top, Django's settings below it.

Every value that an operator may set is a field of ``Environment``; nothing else in the project reads
``os.environ``. In production the process refuses to start on a missing or default secret.
"""

from __future__ import annotations

import mimetypes
import os
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import structlog
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from admin_site.frame.theme import UNFOLD as UNFOLD
from backend.core.crypto import SHORTEST_KEY
from backend.core.databases import databases
from backend.core.logs import allow_listed
from backend.core.origins import origin
from backend.telemetry import sentry

BASE_DIR = Path(__file__).resolve().parent.parent

INSECURE_SECRET_KEY = "development-only-secret-key-that-production-refuses-to-start-with"  # noqa: S105


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """The values with origins as browsers send them. Raises: ImproperlyConfigured for what is none, or no network."""
    try:
        origins = tuple(origin(each) for each in values.get("cors_origins", ()))
        for proxy in values.get("trusted_proxies", ()):
            ip_network(proxy, strict=False)
    except ValueError as error:
        raise ImproperlyConfigured(f"CORS_ORIGINS and TRUSTED_PROXIES are exact: {error}.") from None
    return {**values, "cors_origins": origins}


MAIL_PROVIDERS = ("", "smtp", "sendgrid", "mailgun", "files")
"""Who carries mails. Not said: the server of EMAIL_URL where there is one, else files."""


def _half_a_mail_provider(env: Environment) -> str:
    """What is missing of the settings about mail, as a sentence; empty when nothing is."""
    needed = {
        "smtp": ("email_url",),
        "sendgrid": ("sendgrid_api_key", "sendgrid_webhook_key"),
        "mailgun": ("mailgun_api_key", "mailgun_domain", "mailgun_webhook_key"),
    }
    with_key = [each for each in ("sendgrid", "mailgun") if getattr(env, f"{each}_api_key")]
    for provider in (env.email_provider, *with_key):
        missing = [name.upper() for name in needed.get(provider, ()) if not getattr(env, name)]
        if missing:
            return f"Mails by {provider} need {' and '.join(missing)} as well."
    for provider in ("sendgrid", "mailgun"):
        if getattr(env, f"{provider}_api_key") and env.email_provider in ("", "files"):
            return f"There is a key of {provider}, but EMAIL_PROVIDER names nobody who takes mails."
        if not getattr(env, f"{provider}_api_base").startswith("https://"):
            return f"Production writes to people over https: see {provider.upper()}_API_BASE."
    return ""


@dataclass(frozen=True)
class Environment:
    """What the operator decides, read once from the process environment.

    Names are upper-case environment variables of the same spelling as the fields.
    """

    environment: Literal["development", "test", "production"] = "development"
    secret_key: str = ""
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    database_url: str = field(default="", repr=False)
    database_pooled: str = ""
    database_direct_url: str = field(default="", repr=False)
    database_replica_url: str = field(default="", repr=False)
    redis_url: str = ""
    public_url: str = "http://127.0.0.1:8000"
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    state_dir: Path = BASE_DIR / "var"
    storage_bucket: str = ""
    storage_access_key: str = ""
    storage_secret_key: str = field(default="", repr=False)
    storage_region: str = ""
    storage_public_url: str = ""
    s3_endpoint_url: str = ""
    email_provider: str = ""
    email_url: str = field(default="", repr=False)
    email_from: str = "Karibu <no-reply@localhost>"
    email_reply_to: str = ""
    sendgrid_api_base: str = "https://api.sendgrid.com/v3/"
    sendgrid_api_key: str = field(default="", repr=False)
    sendgrid_webhook_key: str = ""
    mailgun_api_base: str = "https://api.mailgun.net/v3/"
    mailgun_api_key: str = field(default="", repr=False)
    mailgun_domain: str = ""
    mailgun_webhook_key: str = field(default="", repr=False)
    sms_url: str = field(default="", repr=False)
    sms_second_url: str = field(default="", repr=False)
    sms_report_secret: str = field(default="", repr=False)
    sandbox_webhook_secret: str = field(default="", repr=False)
    stripe_api_base: str = "https://api.stripe.com"
    stripe_secret_key: str = field(default="", repr=False)
    stripe_webhook_secret: tuple[str, ...] = field(default=(), repr=False)
    stripe_payout_countries: tuple[str, ...] = ()
    paypal_api_base: str = "https://api-m.paypal.com"
    paypal_client_id: str = ""
    paypal_secret: str = field(default="", repr=False)
    paypal_webhook_id: str = ""
    paypal_return_url: str = ""
    mpesa_api_base: str = "https://api.safaricom.co.ke"
    mpesa_consumer_key: str = ""
    mpesa_consumer_secret: str = field(default="", repr=False)
    mpesa_short_code: str = ""
    mpesa_passkey: str = field(default="", repr=False)
    mpesa_payout_short_code: str = ""
    mpesa_initiator: str = ""
    mpesa_security_credential: str = field(default="", repr=False)
    mpesa_callback_secret: str = field(default="", repr=False)
    google_client_id: str = ""
    google_client_secret: str = field(default="", repr=False)
    google_base_url: str = ""
    facebook_client_id: str = ""
    facebook_client_secret: str = field(default="", repr=False)
    facebook_base_url: str = ""
    apple_client_id: str = ""
    apple_team_id: str = ""
    apple_key_id: str = ""
    apple_private_key: str = field(default="", repr=False)
    apple_base_url: str = ""
    backup_target: str = ""
    backup_recipients: tuple[str, ...] = ()
    backup_identity_file: str = ""
    backup_database_url: str = field(default="", repr=False)
    ecb_rates_url: str = ""
    second_rates_url: str = field(default="", repr=False)
    second_rates_key: str = field(default="", repr=False)
    allow_loopback_fetch: str = ""
    log_level: str = "INFO"
    sentry_dsn: str = field(default="", repr=False)
    release: str = ""

    @classmethod
    def read(cls, source: dict[str, str]) -> Environment:
        """Build the typed environment from ``source``.

        Raises: ImproperlyConfigured for an unknown environment name, or in production for a missing secret.
        """
        values: dict[str, Any] = {}
        for name, spec in cls.__dataclass_fields__.items():
            raw = source.get(name.upper())
            if raw is None or raw == "":
                continue
            kind = str(spec.type)
            if kind.startswith("tuple"):
                values[name] = _split(raw)
            elif kind == "Path":
                values[name] = Path(raw).resolve()
            else:
                values[name] = raw
        env = cls(**_checked(values))
        if env.environment not in ("development", "test", "production"):
            raise ImproperlyConfigured(
                f"ENVIRONMENT is {env.environment!r}; say development, test or production."
            )
        if env.email_provider not in MAIL_PROVIDERS:
            raise ImproperlyConfigured(
                f"EMAIL_PROVIDER is {env.email_provider!r}; say smtp, sendgrid, mailgun or files."
            )
        if env.database_pooled not in ("", "0", "1"):
            raise ImproperlyConfigured(f"DATABASE_POOLED is {env.database_pooled!r}; say 1 or 0.")
        if env.database_pooled == "1" and not env.database_direct_url:
            raise ImproperlyConfigured(
                "Behind PgBouncer (DATABASE_POOLED=1) DATABASE_DIRECT_URL names the way past it."
            )
        if env.sms_second_url and urlsplit(env.sms_second_url).scheme in ("", urlsplit(env.sms_url).scheme):
            raise ImproperlyConfigured("SMS_SECOND_URL is of another carrier than SMS_URL.")
        if env.sms_second_url and not env.sms_url:
            raise ImproperlyConfigured("SMS_SECOND_URL stands beside an SMS_URL.")
        if env.environment == "production":
            if len(env.secret_key) < 50 or env.secret_key == INSECURE_SECRET_KEY:
                raise ImproperlyConfigured(
                    "Production needs a SECRET_KEY of its own, at least 50 characters long."
                )
            if any(len(key) < SHORTEST_KEY for key in env.encryption_keys):
                raise ImproperlyConfigured(
                    f"Each of ENCRYPTION_KEYS needs at least {SHORTEST_KEY} characters in production."
                )
            if env.secret_key in env.encryption_keys:
                raise ImproperlyConfigured("ENCRYPTION_KEYS are keys of their own, not the SECRET_KEY.")
            if not env.allowed_hosts or "*" in env.allowed_hosts:
                raise ImproperlyConfigured(
                    "Production needs ALLOWED_HOSTS, the names that this server answers to."
                )
            if INSECURE_SECRET_KEY in env.secret_key_fallbacks:
                raise ImproperlyConfigured("SECRET_KEY_FALLBACKS holds the key that everybody knows.")
            if any(not each.startswith("https://") for each in env.cors_origins):
                raise ImproperlyConfigured(
                    "Front ends are served over https in production: see CORS_ORIGINS."
                )
            if any(ip_network(proxy, strict=False).prefixlen == 0 for proxy in env.trusted_proxies):
                raise ImproperlyConfigured(
                    "With all the world for TRUSTED_PROXIES everybody may say where a request comes from."
                )
            if env.sentry_dsn and not env.sentry_dsn.startswith("https://"):
                raise ImproperlyConfigured("Production tells of its errors over https: see SENTRY_DSN.")
            if env.log_level.upper() == "DEBUG":
                raise ImproperlyConfigured("Libraries write secrets into the log at LOG_LEVEL=DEBUG.")
            if not env.public_url.startswith("https://"):
                raise ImproperlyConfigured("Production needs PUBLIC_URL with https.")
            missing = _half_a_mail_provider(env)
            if missing:
                raise ImproperlyConfigured(missing)
            if env.sms_report_secret and len(env.sms_report_secret) < 20:
                raise ImproperlyConfigured("SMS_REPORT_SECRET needs at least 20 characters in production.")
            if env.stripe_secret_key and not env.stripe_webhook_secret:
                raise ImproperlyConfigured(
                    "Stripe's webhooks cannot be told from forged ones without STRIPE_WEBHOOK_SECRET."
                )
            if not env.stripe_api_base.startswith("https://"):
                raise ImproperlyConfigured("Production talks to Stripe over https: see STRIPE_API_BASE.")
            if env.paypal_client_id and not env.paypal_webhook_id:
                raise ImproperlyConfigured("PayPal's webhooks cannot be checked without PAYPAL_WEBHOOK_ID.")
            for name, base in (("PAYPAL", env.paypal_api_base), ("MPESA", env.mpesa_api_base)):
                if not base.startswith("https://"):
                    raise ImproperlyConfigured(f"Production moves money over https: see {name}_API_BASE.")
            for name, base in (
                ("GOOGLE", env.google_base_url),
                ("FACEBOOK", env.facebook_base_url),
                ("APPLE", env.apple_base_url),
            ):
                if base and not base.startswith("https://"):
                    raise ImproperlyConfigured(
                        f"Production believes who people are over https alone: see {name}_BASE_URL."
                    )
            if env.allow_loopback_fetch not in ("", "0"):
                raise ImproperlyConfigured(
                    "Production fetches nothing from itself: leave ALLOW_LOOPBACK_FETCH out."
                )
        return env


ENV = Environment.read(dict(os.environ))

ENVIRONMENT = ENV.environment
PRODUCTION = ENV.environment == "production"
DEBUG = False
SECRET_KEY = ENV.secret_key or INSECURE_SECRET_KEY
SECRET_KEY_FALLBACKS = list(ENV.secret_key_fallbacks)
# What personal texts are sealed with: the first key seals, all open, and behind them the SECRET_KEY; see core.crypto.
ENCRYPTION_KEYS = list(ENV.encryption_keys)
PUBLIC_URL = ENV.public_url.rstrip("/")
ALLOWED_HOSTS = list(ENV.allowed_hosts) or ["127.0.0.1", "localhost", "[::1]", "testserver"]
CORS_ORIGINS = list(ENV.cors_origins)
TRUSTED_PROXIES = list(ENV.trusted_proxies)
STATE_DIR = ENV.state_dir

INSTALLED_APPS = [
    "admin_site",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.guardian",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "ninja",
    "guardian",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.mfa",
    "allauth.headless",
    "procrastinate.contrib.django",
    "storages",
    "backend.core",
    "backend.telemetry",
    "backend.accounts",
    "backend.audit",
    "backend.notifications",
    "backend.webhooks",
    "backend.identity",
    "backend.listings",
    "backend.rates",
    "backend.availability",
    "backend.messaging",
    "backend.wishlists",
    "backend.payments",
    "backend.bookings",
    "backend.reviews",
    "backend.search",
    "backend.moderation",
    "backend.privacy",
    "backend.administration",
    "backend.analytics",
    "backend.jobs",
    "realtime",
    "api",
]

MIDDLEWARE = [
    "api.middleware.RequestContextMiddleware",
    "api.entrance.EntranceMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "api.page_store.PageStoreMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "api.middleware.ProblemMiddleware",
    "api.pages.SessionMiddleware",
    "api.pages.LocaleMiddleware",
    "api.entrance.CommonMiddleware",
    "api.pages.CsrfViewMiddleware",
    "api.pages.AuthenticationMiddleware",
    "api.pages.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "backend.urls"
ASGI_APPLICATION = "backend.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


# Whether PgBouncer stands before the database, in transaction mode.
DATABASE_POOLED = ENV.database_pooled == "1"
DATABASES = databases(
    url=ENV.database_url,
    pooled=DATABASE_POOLED,
    direct_url=ENV.database_direct_url,
    replica_url=ENV.database_replica_url,
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if ENV.redis_url:
    CACHES = {
        "default": {
            "BACKEND": "backend.core.cache.ForgivingRedisCache",
            "LOCATION": ENV.redis_url,
            "OPTIONS": {"socket_connect_timeout": 0.25, "socket_timeout": 1.0, "retry": None},
            "KEY_PREFIX": "karibu",
        }
    }
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            # Publishing ignores Valkey's database numbers, so the prefix carries the number.
            "CONFIG": {"hosts": [ENV.redis_url], "prefix": f"karibu{urlsplit(ENV.redis_url).path}"},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
REDIS_URL = ENV.redis_url

# cachalot serves only small reference tables, which nothing but the ORM changes; see DECISIONS.md.
if ENV.redis_url:
    INSTALLED_APPS.insert(INSTALLED_APPS.index("procrastinate.contrib.django"), "cachalot")
CACHALOT_ONLY_CACHABLE_TABLES = (
    "amenities",
    "currencies",
    "exchange_rates",
    "platform_settings",
    "locations",
    "location_names",
)
CACHALOT_FINAL_SQL_CHECK = True
CACHALOT_INVALIDATE_RAW = False  # no raw statement of ours writes a cached table
CACHALOT_QUERY_KEYGEN = "backend.core.caching.query_key"
CACHALOT_TIMEOUT = 300

AUTH_USER_MODEL = "accounts.User"
# Names are unique without regard to case by a constraint on lower(username), which this check cannot see.
# cachalot knows Django's Redis cache by its name only; ours is the same with a life without Valkey.
# The middleware against forged forms is Django's behind a name of ours, since the API, which has no cookies, passes it by.
SILENCED_SYSTEM_CHECKS = ["auth.W004", "cachalot.W001", "security.W003"]
AUTHENTICATION_BACKENDS = [
    "backend.identity.backends.AccountBackend",
    "guardian.backends.ObjectPermissionBackend",
]
PASSWORD_HASHERS = ["backend.identity.passwords.KaribuArgon2Hasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ANONYMOUS_USER_NAME = None

ACCOUNT_LOGIN_METHODS = {"email", "username"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*"]
ACCOUNT_ADAPTER = "allauth.account.adapter.DefaultAccountAdapter"
HEADLESS_ONLY = True
MFA_ADAPTER = "backend.identity.mfa.Adapter"
PASSWORD_RESET_TIMEOUT = 3600

# People may sign in through a provider whose client id is set. Apple's may be several, the one for browsers first; its
# secret is made of a key (PEM, whose line breaks may be written as \n). A base URL stands in for all of a provider's own.
SOCIAL_APPS: dict[str, dict[str, Any]] = {
    "google": {"client_id": ENV.google_client_id, "secret": ENV.google_client_secret},
    "facebook": {"client_id": ENV.facebook_client_id, "secret": ENV.facebook_client_secret},
    "apple": {
        "client_id": ENV.apple_client_id,
        "key": ENV.apple_team_id,
        "secret": ENV.apple_key_id,
        "settings": {"certificate_key": ENV.apple_private_key.replace("\\n", "\n")},
    },
}
SOCIAL_BASE_URLS = {
    "google": ENV.google_base_url.rstrip("/"),
    "facebook": ENV.facebook_base_url.rstrip("/"),
    "apple": ENV.apple_base_url.rstrip("/"),
}
SOCIALACCOUNT_ADAPTER = "backend.identity.social_providers.Adapter"
SOCIALACCOUNT_PROVIDERS = {
    "facebook": {"VERSION": "v24.0", "FIELDS": ["id", "email", "name", "first_name", "last_name"]}
}

NINJA_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET_KEY,
    "ISSUER": PUBLIC_URL,
    "AUDIENCE": "karibu",
    "USER_ID_FIELD": "id",
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": "typ",
}

LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", _("English")),
    ("fr", _("French")),
    ("es", _("Spanish")),
    ("sw", _("Swahili")),
    ("ar", _("Arabic")),
]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
WHITENOISE_USE_FINDERS = True
MEDIA_URL = "/media/"
# Python knows it from 3.13 on; storages tell browsers by the name what a picture is.
mimetypes.add_type("image/webp", ".webp")
MEDIA_ROOT = STATE_DIR / "media"

if ENV.storage_bucket:
    from backend.core.buckets import PATIENCE

    _default_storage: dict[str, Any] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": ENV.storage_bucket,
            "access_key": ENV.storage_access_key or None,
            "secret_key": ENV.storage_secret_key or None,
            "region_name": ENV.storage_region or None,
            "endpoint_url": ENV.s3_endpoint_url or None,
            "custom_domain": ENV.storage_public_url or None,
            "location": "media",
            "file_overwrite": False,
            "querystring_auth": not ENV.storage_public_url,
            "client_config": PATIENCE,
        },
    }
    # What only our own code hands out; never under a public address.
    _private_storage: dict[str, Any] = {
        "BACKEND": _default_storage["BACKEND"],
        "OPTIONS": {
            **_default_storage["OPTIONS"],
            **{"custom_domain": None, "location": "private", "querystring_auth": True},
        },
    }
else:
    _default_storage = {"BACKEND": "backend.core.stored.NotedStorage", "OPTIONS": {"place": "media"}}
    _private_storage = {
        "BACKEND": "backend.core.stored.NotedStorage",
        "OPTIONS": {"place": "private", "location": STATE_DIR / "private", "file_permissions_mode": 0o600},
    }
STORAGES = {
    "default": _default_storage,
    "private": _private_storage,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Our own ground parses multipart bodies of every method; see api/ground.py.
NINJA_FIX_REQUEST_FILES_METHODS: set[str] = set()
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024

DEFAULT_FROM_EMAIL = ENV.email_from
EMAIL_REPLY_TO = ENV.email_reply_to
EMAIL_PROVIDER = ENV.email_provider or ("smtp" if ENV.email_url else "files")
_MAIL_BACKENDS = {
    "smtp": "django.core.mail.backends.smtp.EmailBackend",
    "sendgrid": "backend.notifications.mail_providers.SendGrid",
    "mailgun": "backend.notifications.mail_providers.Mailgun",
    "files": "backend.notifications.mail.EmlFileBackend",
}
EMAIL_BACKEND = _MAIL_BACKENDS[EMAIL_PROVIDER]
# Those that staff may choose from. Files are for machines where nobody waits for a mail.
MAIL_CARRIERS = {
    name: _MAIL_BACKENDS[name]
    for name, is_set_up in {
        "smtp": ENV.email_url,
        "sendgrid": ENV.sendgrid_api_key,
        "mailgun": ENV.mailgun_api_key and ENV.mailgun_domain,
        "files": not PRODUCTION or EMAIL_PROVIDER == "files",
    }.items()
    if is_set_up
}
EMAIL_TIMEOUT = 20
if ENV.email_url:
    _mail = urlsplit(ENV.email_url)
    EMAIL_HOST = _mail.hostname or ""
    EMAIL_PORT = _mail.port or 587
    EMAIL_HOST_USER = unquote(_mail.username or "")
    EMAIL_HOST_PASSWORD = unquote(_mail.password or "")
    EMAIL_USE_TLS = _mail.scheme == "smtp+tls"
    EMAIL_USE_SSL = _mail.scheme == "smtps"
ANYMAIL = {
    "SENDGRID_API_KEY": ENV.sendgrid_api_key,
    "SENDGRID_API_URL": ENV.sendgrid_api_base,
    "MAILGUN_API_KEY": ENV.mailgun_api_key,
    "MAILGUN_API_URL": ENV.mailgun_api_base,
    "MAILGUN_SENDER_DOMAIN": ENV.mailgun_domain or None,
    "REQUESTS_TIMEOUT": EMAIL_TIMEOUT,
    # Nobody is watched while reading.
    "SEND_DEFAULTS": {"track_opens": False, "track_clicks": False},
}
# What the providers' reports are checked with; those of a provider without a key are not expected.
MAIL_WEBHOOK_KEYS = {"sendgrid": ENV.sendgrid_webhook_key, "mailgun": ENV.mailgun_webhook_key}
MAIL_DIR = STATE_DIR / "mail"
SMS_URL = ENV.sms_url
SMS_SECOND_URL = ENV.sms_second_url
# Africa's Talking signs no delivery reports: the address that it is told ends in this.
SMS_REPORT_SECRET = ENV.sms_report_secret
SMS_DIR = STATE_DIR / "sms"

# Calendars of other sites are fetched over https from public addresses; for development also from this machine.
ALLOW_LOOPBACK_FETCH = ENV.allow_loopback_fetch == "1"

# Exchange rates come from the European Central Bank, in production unless said otherwise ("off"); elsewhere where an
# address is given. What the bank does not tell comes from a second source, whose address may hold {key}.
ECB_RATES_URL = ENV.ecb_rates_url or (
    "https://www.ecb.europa.eu/stats/eurofxref/eurofxref.zip" if PRODUCTION else ""
)
if ECB_RATES_URL == "off":
    ECB_RATES_URL = ""
SECOND_RATES_URL = ENV.second_rates_url
SECOND_RATES_KEY = ENV.second_rates_key

# Backups go to a folder or to s3://bucket/prefix (with the keys of STORAGE_*), sealed for the age recipients: whoever
# makes them cannot read them. Restoring needs an identity, which is kept elsewhere; where its file is named, drills run by
# themselves. The database is copied by a role that may replicate: of BACKUP_DATABASE_URL, else the one that run.py made.
BACKUP_TARGET = ENV.backup_target
BACKUP_RECIPIENTS = ENV.backup_recipients
BACKUP_IDENTITY_FILE = ENV.backup_identity_file
BACKUP_DATABASE_URL = ENV.backup_database_url

# The sandbox provider stands in for a real one outside production; its webhooks are signed like theirs.
SANDBOX_ENABLED = not PRODUCTION
SANDBOX_WEBHOOK_SECRET = ENV.sandbox_webhook_secret or f"sandbox:{SECRET_KEY}"

# Stripe is offered when its key is set. Each of its webhook endpoints (the account's, Connect's) has a secret of its own.
STRIPE_API_BASE = ENV.stripe_api_base.rstrip("/")
STRIPE_SECRET_KEY = ENV.stripe_secret_key
STRIPE_WEBHOOK_SECRETS = ENV.stripe_webhook_secret
STRIPE_PAYOUT_COUNTRIES = ENV.stripe_payout_countries

# PayPal sends the guest back to the front end when an order is approved or left.
PAYPAL_API_BASE = ENV.paypal_api_base.rstrip("/")
PAYPAL_CLIENT_ID = ENV.paypal_client_id
PAYPAL_SECRET = ENV.paypal_secret
PAYPAL_WEBHOOK_ID = ENV.paypal_webhook_id
PAYPAL_RETURN_URL = ENV.paypal_return_url or PUBLIC_URL

# Safaricom's Daraja. Its callbacks carry no signature: each has an address of its own, made with the secret.
MPESA_API_BASE = ENV.mpesa_api_base.rstrip("/")
MPESA_CONSUMER_KEY = ENV.mpesa_consumer_key
MPESA_CONSUMER_SECRET = ENV.mpesa_consumer_secret
MPESA_SHORT_CODE = ENV.mpesa_short_code
MPESA_PASSKEY = ENV.mpesa_passkey
MPESA_PAYOUT_SHORT_CODE = ENV.mpesa_payout_short_code or ENV.mpesa_short_code
MPESA_INITIATOR = ENV.mpesa_initiator
MPESA_SECURITY_CREDENTIAL = ENV.mpesa_security_credential
MPESA_CALLBACK_SECRET = ENV.mpesa_callback_secret or f"mpesa:{SECRET_KEY}"

# Only the back office has cookies. Its session ends after an hour without a page; see admin_site.frame.site for its latest end.
SESSION_COOKIE_NAME = "__Host-sessionid" if PRODUCTION else "sessionid"
SESSION_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 3600
SESSION_SAVE_EVERY_REQUEST = True
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_COOKIE_NAME = "__Host-csrftoken" if PRODUCTION else "csrftoken"
CSRF_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_SSL_REDIRECT = PRODUCTION
# Machines of the own network ask for these without TLS.
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
X_FRAME_OPTIONS = "DENY"

# Errors go to Sentry, or to what speaks its language, where an address of it is given. RELEASE names the version that runs.
SENTRY_DSN = ENV.sentry_dsn
RELEASE = ENV.release

PROCRASTINATE_ON_APP_READY = "backend.jobs.schedule.on_app_ready"
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "tasks"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                allow_listed,
                structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
                structlog.processors.format_exc_info,
            ],
        }
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "json"},
        "kept": {"class": "backend.telemetry.handler.KeepErrors", "level": "ERROR"},
        "sentry": {"class": "backend.telemetry.sentry.Handler", "level": "ERROR"},
    },
    "root": {"handlers": ["console", "kept", "sentry"], "level": ENV.log_level},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "procrastinate": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        sentry.see,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
