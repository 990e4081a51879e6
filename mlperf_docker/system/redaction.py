"""Redaction of secrets in text: the one place that knows what is secret.

What this host is configured with (proxies, package indexes, logins of registries, the engine's address) is known word
for word, and hidden in whatever spelling it comes. Of all other addresses the form tells where a login stands.
"""

import base64
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from urllib.parse import quote, unquote

HIDDEN = "***"

_PROXIES = tuple(
    spelt for name in ("HTTP", "HTTPS", "FTP", "ALL") for spelt in (f"{name}_PROXY", f"{name.lower()}_proxy")
)
_INDEXES = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"),
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
)
_ADDRESSES = (*_PROXIES, "PIP_PROXY", "DOCKER_HOST", "MLPERF_DOCKER_REGISTRY", *_INDEXES)
_AUTHS = "DOCKER_AUTH_CONFIG"
_VARIABLES = (*_ADDRESSES, _AUTHS)
_PLACES = ("HOME", "DOCKER_CONFIG", "PIP_CONFIG_FILE", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS")

_SHORTEST = 4  # shorter words stand in too many others; where they stand in an address, its form tells
_LONG = 8  # so long that it is looked for within other words too
_TOKEN = 16  # a name so long may be a token too, with a password that only says so
_ALONE = 8  # a name without a password may be an access token; shorter ones are names
# Parts of the paths of package indexes that are no secret.
_ORDINARY = frozenset(
    (
        *("api", "content", "index", "packages", "pypi", "pypi-proxy", "python", "simple", "+simple", "whl", "wheels"),
        *("artifactory", "groups", "nexus", "projects", "public", "repository", "root", "stable", "cpu"),
        *("v1", "v2", "v3", "v4", "data", "home", "lib", "opt", "tmp", "usr", "var"),
    )
)
_BEFORE = r"(?<![^\s=,;|(\"'\[{<>])"  # what an address without a scheme begins behind
_SCHEME = re.compile(rf"[a-z][a-z0-9+.-]{{0,20}}:(?:/{{1,3}}|\\/\\/)|{_BEFORE}//", re.IGNORECASE)
_HOST = re.compile(r"\[[0-9a-fA-F:.%]+\]|[\w-]")
_MALFORMED = re.compile(r"[^\s:/\[\]]+:(?![0-9]*(?:[/?#]|$))(.+)")  # a login without a host: what would be the port
_NAME_ONLY = ("ssh", "git", "git+ssh")  # schemes whose user is no secret

# `user:password@host` without a scheme; `name:tag@sha256:…` is an image. What repeats has bounds here, as a text may be
# megabytes long.
_BARE = re.compile(_BEFORE + r"[^\s:/@=,;|\"'()<>\[\]{}]{1,128}:[^\s/\"'<>]{1,256}@(?!sha256:)(?=[\w\[])")
_ENCODED = re.compile(r"(%3a%2f%2f)[^\s&]{1,512}%40(?=[\w%])", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&;](?:sig|key|[\w.-]{0,64}(?:token|secret|passw|pwd|signature|credential|api_?key|access_?key|auth)[\w.-]{0,64})=)"
    r"[^\s&#\"'<>]+",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"((?:authorization|x-registry-auth|private-token)\\?[\"']?\s{0,8}[:=]\s{0,8}(?:b(?=[\"']))?\\?[\"']?"
    r"(?:(?:basic|bearer)\s+)?)[^\s\"',\\]+",
    re.IGNORECASE,
)
_FIELD = re.compile(
    r"(\\?\"(?:auth|password|identitytoken|registrytoken|refresh_token|access_token|secret)\\?\"\s*:\s*\\?\")[^\"\\]+",
    re.IGNORECASE,
)


def hidden(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return *text* without what is secret in it. environment: whose settings are known; this host's by default."""
    known = _pattern(_settings(os.environ) if environment is None else _relevant(environment))
    if known is not None:
        text = known.sub(lambda found: f"/{HIDDEN}" if found[0].startswith("/") else HIDDEN, text)
    for sign, rule in _RULES:
        if sign in text:
            text = rule(text)
    return text


def _without_logins(text: str) -> str:
    """Return *text* without the logins of its addresses."""
    return _BARE.sub(f"{HIDDEN}@", re.sub(r"\S+", lambda word: _of_word(word[0]) if "@" in word[0] else word[0], text))


def _of_word(word: str) -> str:
    """Return a word without the logins of the addresses in it, of which one begins at each scheme."""
    starts = [found.start() for found in _SCHEME.finditer(word)]
    parts = [word[start:end] for start, end in zip([0, *starts], [*starts, len(word)], strict=True)]
    return parts[0] + "".join(map(_of_address, parts[1:]))


def _of_address(address: str) -> str:
    scheme, login, rest = _cut(address)
    if not login or (scheme.partition(":")[0].lower() in _NAME_ONLY and ":" not in login):
        return address
    return f"{scheme}{HIDDEN}@{rest}"


def _cut(address: str) -> tuple[str, str, str]:
    """Return scheme, login and rest of an address; "" for what it has not.

    A login ends at the last @ before a host, whatever it holds: a password may have an @ or a slash that should be %40
    or %2F. But in an address without a colon before its path, an @ there is the path's own.
    """
    found = _SCHEME.match(address)
    scheme = found[0] if found else ""
    body = address[len(scheme) :]
    before = body.partition("/")[0]
    end = len(body) if ":" in before.partition("@")[0] else len(before)
    for at in (match.start() for match in reversed(list(re.finditer("@", body[:end])))):
        if _HOST.match(body, at + 1) and not body.startswith("sha256:", at + 1):
            return scheme, body[:at], body[at + 1 :]
    return scheme, "", body


_RULES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("@", _without_logins),
    ("%40", lambda text: _ENCODED.sub(rf"\g<1>{HIDDEN}%40", text)),
    ("=", lambda text: _QUERY.sub(rf"\g<1>{HIDDEN}", text)),
    ("", lambda text: _HEADER.sub(rf"\g<1>{HIDDEN}", text)),
    ('"', lambda text: _FIELD.sub(rf"\g<1>{HIDDEN}", text)),
)

_Settings = tuple[tuple[str, str], ...]


def _settings(environment: Mapping[str, str]) -> _Settings:
    """Return every setting of this host that may hold a secret: from variables, pip's files and docker's own.

    The files are read again only when one of them changed.
    """
    files = _files(tuple(environment.get(name, "") for name in _PLACES))
    return (*_relevant(environment), *_read(tuple((path, _stamp(path)) for path in files)))


def _relevant(environment: Mapping[str, str]) -> _Settings:
    return tuple((name, environment[name]) for name in _VARIABLES if environment.get(name))


@lru_cache(maxsize=4)
def _files(_places: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files that pip and docker are configured with where the variables _PLACES have these values."""
    from mlperf_docker.system import docker_config, pip_config

    return tuple(map(str, (docker_config.path(), *pip_config.paths(os.environ))))


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116  # this is asked for every line that is printed
    except (OSError, ValueError):
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _read(_stamps: tuple[tuple[str, tuple[int, int]], ...]) -> _Settings:
    from mlperf_docker.system import docker_config, pip_config

    docker, pip = docker_config.load(), pip_config.pip_files(os.environ)
    auths = (("DOCKER_AUTH_CONFIG", json.dumps({"auths": docker.auths})),) if docker.auths else ()
    headers = tuple(("header", str(value)) for value in docker.entries.get("HttpHeaders", {}).values())
    proxies = tuple(("HTTP_PROXY", proxy) for proxy in docker.every_proxy())
    return (*auths, *headers, *proxies, *((name, value) for name, value in pip.items() if name in _ADDRESSES))


@lru_cache(maxsize=16)
def _pattern(settings: _Settings) -> re.Pattern[str] | None:
    """Return what finds every secret word of *settings*, the longest first; None where there is none."""
    words = {word for name, value in settings for word in _words(name, value)}
    alternatives = [_bounded(word) for word in sorted(words, key=len, reverse=True) if len(word) >= _SHORTEST]
    return re.compile("|".join(alternatives)) if alternatives else None


def _bounded(word: str) -> str:
    """Return the pattern of a word; a short one, or a part of a path, does not count within another word."""
    if word.startswith("/"):
        return rf"{re.escape(word)}(?![\w-])"
    return re.escape(word) if len(word) >= _LONG else rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])"


def _words(name: str, value: str) -> Iterator[str]:
    """Yield the secret words of one setting."""
    if name == _AUTHS:
        yield from _of_auths(value)
    elif name in _ADDRESSES:
        addresses = value.split() if name in _INDEXES else (value.strip(),)
        for address in addresses:
            yield from _of_setting(address, is_index=name in _INDEXES)
    else:
        yield from _spellings(value)


def _of_setting(address: str, *, is_index: bool) -> Iterator[str]:
    scheme, login, rest = _cut(address)
    if login and scheme.partition(":")[0].lower() not in _NAME_ONLY:
        yield from _of_login(login)
    elif not login and (malformed := _MALFORMED.match(rest)):
        yield from _spellings(malformed[1])
    place, _, query = rest.partition("?")
    for pair in query.split("&"):
        yield from _spellings(pair.partition("=")[2])
    if is_index and scheme and not scheme.lower().startswith("file"):
        for part in place.split("/")[1:]:
            if part and part.lower() not in _ORDINARY:
                yield from (f"/{spelt}" for spelt in _spellings(part))


def _of_login(login: str) -> Iterator[str]:
    """Yield a login's password, all of it, and the two as a header has them; a name alone only where it is long."""
    user, colon, password = login.partition(":")
    if colon:
        yield from _spellings(password)
        if len(user) >= _TOKEN:
            yield from _spellings(user)
        yield from _spellings(login)
        for spelt in {login, unquote(login)}:
            yield from _in_base64(spelt)
    elif len(login) >= _ALONE:
        yield from _spellings(login)


def _of_auths(text: str) -> Iterator[str]:
    """Yield what is secret in the `auths` of docker's configuration."""
    try:
        entries = json.loads(text)["auths"].values()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    for entry in (each for each in entries if isinstance(each, dict)):
        for key in ("password", "identitytoken", "registrytoken", "auth"):
            yield from _spellings(str(entry.get(key) or ""))
        try:
            login = base64.b64decode(str(entry.get("auth") or "")).decode()
        except ValueError:
            continue
        if ":" in login:
            yield from _of_login(login)


def _spellings(word: str) -> Iterator[str]:
    """Yield *word* as it is, percent-encoded and decoded, and as JSON and Python write it."""
    plain = unquote(word)
    encoded = {quote(each, safe=safe) for each in (word, plain) for safe in ("", "/", "/:@")}
    lower = {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), each) for each in encoded}
    escaped = {spelt for each in (word, plain) for spelt in (json.dumps(each)[1:-1], repr(each)[1:-1])}
    escaped |= {each.replace("/", r"\/") for each in escaped}
    yield from {word, plain, *encoded, *lower, *escaped} - {""}


def _in_base64(word: str) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(word.encode(errors="surrogateescape")).decode()
        yield from (text, text.rstrip("="))
