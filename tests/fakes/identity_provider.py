"""Google, Facebook and Apple as tests meet them: keys, codes, tokens, and what goes wrong with each.

One server stands for all three, at their own paths. A test plays the person who signs in: ``authorize`` takes the address
that we send a browser to and answers how the browser comes back; ``id_token`` and ``access_token`` are what an app gets
from the provider's own library. Codes are good once, for their client, their redirect address and their PKCE challenge.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fakes.base import Call, Fake, Refused, Reply, on
from tests.fakes.certificates import certificate, signing_key
from tests.fakes.process import serve

GRAPH = "/v24.0"
KID = "key-1"
ISSUERS = {
    "google": "https://accounts.google.com",
    "facebook": "https://www.facebook.com",
    "apple": "https://appleid.apple.com",
}
CLIENTS = {"google": "google-client", "facebook": "facebook-app", "apple": "com.example.web"}
SECRETS = {"google": "google-secret", "facebook": "facebook-secret"}
APPLE_TEAM, APPLE_KEY = "TEAM123456", "KEY1234567"


@dataclass(frozen=True)
class Person:
    """Somebody with an account at a provider."""

    sub: str = "110169484474386276334"
    email: str = "amina@example.com"
    email_verified: bool = True
    first_name: str = "Amina"
    last_name: str = "Otieno"


@dataclass
class Grant:
    """A code that was given out."""

    provider: str
    person: Person
    redirect_uri: str
    challenge: str
    nonce: str
    spoiled: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Back:
    """How the browser comes back to us."""

    method: str
    url: str
    values: dict[str, str]


@lru_cache(maxsize=1)
def apple_key() -> ec.EllipticCurvePrivateKey:
    """The key that we sign Apple's client secret with."""
    return ec.generate_private_key(ec.SECP256R1())


def apps() -> dict[str, dict[str, Any]]:
    """``settings.SOCIAL_APPS`` for this fake."""
    pem = apple_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "google": {"client_id": CLIENTS["google"], "secret": SECRETS["google"]},
        "facebook": {"client_id": CLIENTS["facebook"], "secret": SECRETS["facebook"]},
        "apple": {
            "client_id": f"{CLIENTS['apple']},com.example.app",
            "key": APPLE_TEAM,
            "secret": APPLE_KEY,
            "settings": {"certificate_key": pem},
        },
    }


def environment(url: str) -> dict[str, str]:
    """The environment of a server that signs in through the fake at ``url``."""
    made = apps()
    return {
        **{f"{name}_BASE_URL": url for name in ("GOOGLE", "FACEBOOK", "APPLE")},
        "GOOGLE_CLIENT_ID": made["google"]["client_id"],
        "GOOGLE_CLIENT_SECRET": made["google"]["secret"],
        "FACEBOOK_CLIENT_ID": made["facebook"]["client_id"],
        "FACEBOOK_CLIENT_SECRET": made["facebook"]["secret"],
        "APPLE_CLIENT_ID": made["apple"]["client_id"],
        "APPLE_TEAM_ID": APPLE_TEAM,
        "APPLE_KEY_ID": APPLE_KEY,
        "APPLE_PRIVATE_KEY": made["apple"]["settings"]["certificate_key"].replace("\n", "\\n"),
    }


class IdentityProviderFake(Fake):
    """A pretend Google, Facebook and Apple."""

    name = "identity_provider"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.grants: dict[str, Grant] = {}
        self.access_tokens: dict[str, tuple[Person, str]] = {}
        """Token → whose it is, and the application that it was made for."""
        self.spoil: dict[str, Any] = {}
        """Claims and options of the identity tokens that codes are exchanged for from now on; see ``id_token``."""

    def error(self, refused: Refused) -> Reply:
        return Reply({"error": refused.code, "error_description": refused.message}, refused.status)

    # What a person does, and the provider's library in their app.

    def authorize(self, url: str, person: Person, *, gives_up: bool = False) -> Back:
        """Sign in at the provider in a browser that was sent to ``url``, or give up there."""
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query))
        paths = {
            "/o/oauth2/v2/auth": "google",
            f"{GRAPH}/dialog/oauth": "facebook",
            "/auth/authorize": "apple",
        }
        provider = paths[parts.path]
        assert asked["client_id"] == CLIENTS[provider], asked
        assert asked["code_challenge_method"] == "S256", asked
        if gives_up:
            words = "user_cancelled_authorize" if provider == "apple" else "access_denied"
            back = {"error": words, "state": asked["state"]}
        else:
            code = self.code(
                provider, person, asked["redirect_uri"], asked["code_challenge"], asked.get("nonce", "")
            )
            back = {"code": code, "state": asked["state"]}
        if provider == "google":
            back |= {"scope": asked["scope"], "authuser": "0", "prompt": "consent"}
        if provider == "apple":
            assert asked["response_mode"] == "form_post", asked
            back["user"] = json.dumps(
                {"name": {"firstName": person.first_name, "lastName": person.last_name}}
            )
        return Back("POST" if provider == "apple" else "GET", asked["redirect_uri"], back)

    def code(
        self, provider: str, person: Person, redirect_uri: str, challenge: str = "", nonce: str = ""
    ) -> str:
        """A code for ``person``."""
        code = secrets.token_urlsafe(24)
        with self.lock:
            self.grants[code] = Grant(provider, person, redirect_uri, challenge, nonce, dict(self.spoil))
        return code

    def access_token(self, person: Person, app_id: str = CLIENTS["facebook"]) -> str:
        """A token of Facebook's for ``person``, made for ``app_id``."""
        token = secrets.token_urlsafe(24)
        with self.lock:
            self.access_tokens[token] = (person, app_id)
        return token

    def id_token(
        self,
        provider: str,
        person: Person,
        *,
        alg: str = "RS256",
        key: str = "true",
        kid: str = KID,
        **claims: Any,
    ) -> str:
        """A token that says who ``person`` is. ``claims`` replace the true ones, None leaves one out.

        ``alg`` and ``key`` sign it: ``none``, HS256 with the public key, or RS256 with a ``forged`` one.
        """
        told = {
            "iss": ISSUERS[provider],
            "aud": CLIENTS[provider],
            "sub": person.sub,
            "email": person.email,
            "email_verified": person.email_verified,
            "iat": self.now(),
            "exp": self.now() + 3600,
            "at_hash": secrets.token_urlsafe(16),
        }
        if provider == "apple":
            told["email_verified"] = "true" if person.email_verified else "false"
        else:
            told |= {"given_name": person.first_name, "family_name": person.last_name}
        if not person.email:
            del told["email"], told["email_verified"]
        told = {name: value for name, value in (told | claims).items() if value is not None}
        if alg == "none":
            return jwt.encode(told, None, algorithm="none", headers={"kid": kid})
        if alg == "HS256":
            return _hs256(told, kid, certificate(at=self.clock()))
        return jwt.encode(told, signing_key(key), algorithm=alg, headers={"kid": kid})

    @on("GET", "/o/oauth2/v2/auth")
    @on("GET", f"{GRAPH}/dialog/oauth")
    @on("GET", "/auth/authorize")
    def sign_in_page(self, call: Call) -> Reply:
        """A browser that really comes: it is sent back at once, signed in as the usual person."""
        back = self.authorize(f"{self.url}{call.path}?{urlencode(call.query)}", Person())
        if back.method == "GET":
            return Reply(b"", 302, {"Location": f"{back.url}?{urlencode(back.values)}"})
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{escape(value)}">'
            for name, value in back.values.items()
        )
        form = f'<form method="post" action="{back.url}">{fields}<button>Continue</button></form>'
        return Reply(form.encode(), 200, {"Content-Type": "text/html"})

    # Google.

    @on("GET", "/oauth2/v1/certs")
    def google_certificates(self, call: Call) -> Reply:
        return Reply({KID: certificate(at=self.clock()).decode()})

    @on("POST", "/token")
    def google_token(self, call: Call) -> Reply:
        form = call.form()
        if form.get("client_secret") != SECRETS["google"]:
            raise Refused(401, "invalid_client")
        return self._exchange("google", form)

    @on("GET", "/oauth2/v2/userinfo")
    def google_userinfo(self, call: Call) -> Reply:
        person, _app = self._whose(call.headers.get("authorization", "").removeprefix("Bearer "))
        return Reply(
            {
                "id": person.sub,
                "email": person.email,
                "verified_email": person.email_verified,
                "given_name": person.first_name,
                "family_name": person.last_name,
            }
        )

    # Apple.

    @on("GET", "/auth/keys")
    @on("GET", "/.well-known/oauth/openid/jwks/")
    def keys(self, call: Call) -> Reply:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key("true").public_key()))
        return Reply({"keys": [{**public, "kid": KID, "use": "sig", "alg": "RS256"}]})

    @on("POST", "/auth/token")
    def apple_token(self, call: Call) -> Reply:
        form = call.form()
        try:
            told = jwt.decode(
                form["client_secret"], apple_key().public_key(), ["ES256"], audience=ISSUERS["apple"]
            )
        except (jwt.PyJWTError, KeyError):
            raise Refused(400, "invalid_client") from None
        header = jwt.get_unverified_header(form["client_secret"])
        if (told["iss"], told["sub"], header["kid"]) != (APPLE_TEAM, CLIENTS["apple"], APPLE_KEY):
            raise Refused(400, "invalid_client")
        return self._exchange("apple", form)

    # Facebook.

    @on("GET", f"{GRAPH}/oauth/access_token")
    @on("POST", f"{GRAPH}/oauth/access_token")
    def facebook_token(self, call: Call) -> Reply:
        form = call.form() or call.query
        if form.get("client_secret") != SECRETS["facebook"]:
            raise Refused(400, "invalid_client")
        if form.get("grant_type") == "client_credentials":
            return Reply({"access_token": "app-token", "token_type": "bearer"})
        return self._exchange("facebook", form)

    @on("GET", f"{GRAPH}/debug_token")
    def facebook_debug(self, call: Call) -> Reply:
        if call.query.get("access_token") != "app-token":
            raise Refused(400, "invalid_client")
        known = self.access_tokens.get(call.query.get("input_token", ""))
        if known is None:
            return Reply({"data": {"is_valid": False, "app_id": CLIENTS["facebook"]}})
        return Reply({"data": {"is_valid": True, "app_id": known[1], "user_id": known[0].sub}})

    @on("GET", f"{GRAPH}/me")
    def facebook_me(self, call: Call) -> Reply:
        person, _app = self._whose(call.query.get("access_token", ""))
        shown = {"id": person.sub, "first_name": person.first_name, "last_name": person.last_name}
        return Reply(shown | ({"email": person.email} if person.email else {}))

    def _whose(self, token: str) -> tuple[Person, str]:
        if token not in self.access_tokens:
            raise Refused(401, "invalid_token")
        return self.access_tokens[token]

    def _exchange(self, provider: str, form: dict[str, str]) -> Reply:
        grant = self.grants.pop(form.get("code", ""), None)
        if grant is None or grant.provider != provider or form.get("client_id") != CLIENTS[provider]:
            raise Refused(400, "invalid_grant", "the code is none of ours, or used")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise Refused(400, "invalid_grant", "redirect_uri")
        if grant.challenge and _challenge(form.get("code_verifier", "")) != grant.challenge:
            raise Refused(400, "invalid_grant", "code_verifier")
        token = self.access_token(grant.person, CLIENTS[provider])
        answer: dict[str, Any] = {"access_token": token, "token_type": "bearer", "expires_in": 3600}
        if provider != "facebook" and not grant.spoiled.get("without_id_token"):
            claims = {"nonce": grant.nonce or None, **grant.spoiled}
            answer["id_token"] = self.id_token(provider, grant.person, **claims)
        return Reply(answer)


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _hs256(told: dict[str, Any], kid: str, key: bytes) -> str:
    """Signed with what everybody knows: libraries that take the header's word for the algorithm believe it."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode())
    body = f"{head}.{part(json.dumps(told).encode())}"
    return f"{body}.{part(hmac.new(key, body.encode(), hashlib.sha256).digest())}"


if __name__ == "__main__":
    serve(IdentityProviderFake)
