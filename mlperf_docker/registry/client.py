"""Client of image registries over HTTP, with docker's logins: tags, digests, labels; nothing is pulled.

The engine pulls and pushes; but it lists no tags, and knows labels only of what it has pulled already.
oras 0.2 takes a manifest that is not what its digest says, repeats a 403 for minutes, and raises one error for a tag
that is not there and for a registry that is busy. python-dxf 12.1 verifies digests, but reads none of docker's logins.
Neither knows identity tokens, /etc/docker/certs.d, or how the engine goes from TLS to plain HTTP.
Sources: https://github.com/opencontainers/distribution-spec/blob/main/spec.md, and for tokens
https://distribution.github.io/distribution/spec/auth/
"""

import hashlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.exceptions import RequestException, SSLError
from requests.utils import parse_dict_header

from mlperf_docker.registry.logins import login_for
from mlperf_docker.registry.references import HUB, host_of, parted
from mlperf_docker.registry.refusals import RefusedError, patiently, refused
from mlperf_docker.registry.remote import Remote
from mlperf_docker.system import network_errors

CERTIFICATES = Path("/etc/docker/certs.d")
_TIMEOUT_S = (10, 60)  # to connect, and of silence
_PAGE = 1000
_HUB_HOST = "registry-1.docker.io"  # where the images of Docker Hub are
_LOOPBACK = ("127.0.0.0/8", "::1/128")
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_Answer = TypeVar("_Answer")


class RegistryClient:
    """The registries as one engine sees them. Connections and tokens are kept between questions.

    trust: RegistryConfig of the engine's own description, which names those that need no trusted certificate;
    platform: what its images are for, as "linux/amd64"; say: told of every attempt that is repeated. Threads may share
    it.
    """

    def __init__(self, trust: Mapping[str, Any], platform: str, say: Callable[[str], None] = lambda _: None) -> None:
        self.platform = platform
        self._trust, self._say = trust, say
        self._hosts: dict[str, _Host] = {}
        self._repositories: dict[str, _Repository] = {}

    def describe(self, reference: str) -> Remote | None:
        """Return what *reference*, a name with a tag or digest, is; None where the registry has no such image.

        Raises RegistryError.
        """
        name, digest, tag = parted(reference)
        return self._patiently(lambda: _describe(self._repository(name), digest or tag, self.platform))

    def tags(self, name: str) -> tuple[str, ...]:
        """Return the tags of the repository *name*, sorted; none where there is no such repository."""
        return self._patiently(lambda: tuple(sorted(_tags(self._repository(name)))))

    def _patiently(self, attempt: Callable[[], _Answer]) -> _Answer:
        return patiently(attempt, self._say)

    def _repository(self, name: str) -> "_Repository":
        host = host_of(name)
        if host not in self._hosts:
            self._hosts[host] = _Host(host, insecure=_is_insecure(host, self._trust))
        return self._repositories.setdefault(name, _Repository(self._hosts[host], name))


class _Host:
    """The connection to one registry.

    One that needs no trusted certificate is tried as the engine does it: TLS with any certificate, then none.
    """

    def __init__(self, name: str, *, insecure: bool) -> None:
        self.name = name
        self._schemes = ["https", "http"] if insecure else ["https"]  # replaced, never changed: threads share it
        self._session = requests.Session()
        self._verify = not insecure  # said with each request: the session's own word yields to REQUESTS_CA_BUNDLE
        self._session.trust_env = not _is_loopback(name)  # no proxy between this host and itself
        self._session.mount("https://", _TrustingAdapter(_tls_context(name, insecure=insecure)))
        if insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def get(self, path: str, headers: Mapping[str, str]) -> requests.Response:
        """GET *path*, or a whole URL. Raises RequestException."""
        address = _HUB_HOST if self.name == HUB else self.name
        if len(self._schemes) > 1:
            try:
                return self._get(urljoin(f"https://{address}", path), headers)
            except (SSLError, requests.exceptions.ConnectionError):
                answer = self._get(urljoin(f"http://{address}", path), headers)
                self._schemes = ["http"]
                return answer
        return self._get(urljoin(f"{self._schemes[0]}://{address}", path), headers)

    def token(self, challenge: str) -> str | None:
        """Return the Authorization that answers *challenge*, with docker's login; None where there is none.

        Raises RequestException, also where the login is not accepted.
        """
        kind, _, rest = challenge.partition(" ")
        login = login_for(self.name)
        basic = HTTPBasicAuth(*login.pair()) if login and login.username is not None else None
        if kind.lower() == "basic":
            return str(basic(requests.Request()).headers["Authorization"]) if basic else None
        fields = parse_dict_header(rest)  # type: ignore[no-untyped-call]
        if "realm" not in fields:
            return None
        asked = {key: fields[key] for key in ("service", "scope") if key in fields}
        if login and login.identity_token is not None:
            asked |= {"grant_type": "refresh_token", "client_id": "docker", "refresh_token": login.identity_token}
            answer = self._ask("POST", fields["realm"], data=asked)
        else:
            answer = self._ask("GET", fields["realm"], params=asked, auth=basic or _as_nobody)
        answer.raise_for_status()
        found = answer.json()
        return f"Bearer {found.get('token') or found.get('access_token')}"

    def _get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        return self._ask("GET", url, headers=dict(headers), auth=_as_nobody)

    def _ask(self, method: str, url: str, **options: Any) -> requests.Response:  # noqa: ANN401  # as requests has it
        return self._session.request(method, url, verify=self._verify, timeout=_TIMEOUT_S, **options)


class _Repository:
    """Repository of a registry: answers to GET requests, logged in where it is asked for."""

    def __init__(self, host: _Host, name: str) -> None:
        self.name, self._host, self._authorization = name, host, ""
        path = name.removeprefix(f"{host.name}/")
        self._path = f"library/{path}" if host.name == HUB and "/" not in path else path

    def get(self, path: str, accept: tuple[str, ...] = ()) -> requests.Response | None:
        """Return the answer to `GET /v2/<name>/<path>`, or None where it is not there. Raises RefusedError."""
        try:
            answer = self._get(path, accept)
        except SSLError as error:
            raise self.refused(_untrusted(error)) from error
        except (RequestException, urllib3.exceptions.HTTPError) as error:
            raise self.refused(_reason(error)) from error
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if not answer.ok:
            raise self.refused(_refusal(answer))
        return answer

    def parsed(self, answer: requests.Response) -> dict[str, Any]:
        """Return the object that *answer* is in JSON. Raises RefusedError where it is something else."""
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.refused("the answer is not a registry's")
        return found

    def refused(self, said: str) -> RefusedError:
        """Return the error for what the registry *said*."""
        return refused(f"{self.name} cannot be looked up", self._host.name, said)

    def _get(self, path: str, accept: tuple[str, ...]) -> requests.Response:
        url = path if path.startswith("/") else f"/v2/{self._path}/{path}"
        answer = self._host.get(url, self._headers(accept))
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            authorization = self._host.token(answer.headers.get("WWW-Authenticate", ""))
            if authorization is None:
                raise self.refused("no basic auth credentials")
            self._authorization = authorization
            answer = self._host.get(url, self._headers(accept))
        return answer

    def _headers(self, accept: tuple[str, ...]) -> dict[str, str]:
        named = {"Accept": ", ".join(accept), "Authorization": self._authorization}
        return {key: value for key, value in named.items() if value}


class _TrustingAdapter(HTTPAdapter):
    """Uses a TLS context of ours, which knows the registry's own authority beside the public ones."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  # the base class's
        super().init_poolmanager(*args, **options, ssl_context=self._context)


def _as_nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from looking for a login of its own in ~/.netrc."""
    return request


def _tls_context(host: str, *, insecure: bool) -> ssl.SSLContext:
    """Return what the engine uses for *host*: the system's authorities and those in its folder of certificates.

    Source: https://docs.docker.com/engine/security/certificates/
    """
    if insecure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # and no authorities, which take a while to read
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = ssl.create_default_context()
    folder = CERTIFICATES / host
    for authority in sorted(folder.glob("*.crt")):
        context.load_verify_locations(authority)
    for certificate in sorted(folder.glob("*.cert")):
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def _is_insecure(host: str, trust: Mapping[str, Any]) -> bool:
    """Tell whether the engine needs no trusted certificate of *host*; it lists those hosts and networks."""
    known = (trust.get("IndexConfigs") or {}).get(host)
    if known is not None:
        return not known.get("Secure", True)
    networks = [ipaddress.ip_network(each) for each in (*_LOOPBACK, *(trust.get("InsecureRegistryCIDRs") or ()))]
    return any(address in network for address in _addresses(host) for network in networks)


def _is_loopback(host: str) -> bool:
    return any(address.is_loopback for address in _addresses(host))


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(urlsplit(f"//{host}").hostname, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return []
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


def _tags(repository: _Repository) -> Iterator[str]:
    """Yield all tags; the registry gives them page by page."""
    path = f"tags/list?n={_PAGE}"
    while path:
        answer = repository.get(path)
        if answer is None:
            return
        yield from repository.parsed(answer).get("tags") or ()
        path = answer.links.get("next", {}).get("url", "")


def _describe(repository: _Repository, reference: str, platform: str) -> Remote | None:
    answer = repository.get(f"manifests/{reference}", (*_INDEXES, *_MANIFESTS))
    if answer is None:
        return None
    digest = _verified(repository, answer, reference if ":" in reference else "")
    manifest = repository.parsed(answer)
    if "manifests" not in manifest:
        return _remote(repository, digest, manifest)
    offered = {_platform(each["platform"]): each["digest"] for each in manifest["manifests"] if "platform" in each}
    found = _describe(repository, offered[platform], platform) if platform in offered else None
    platforms = tuple(each for each in offered if each != "unknown/unknown")  # attestations
    return Remote(repository.name, digest, platforms, *((found.labels, found.layers) if found else ()))


def _remote(repository: _Repository, digest: str, manifest: Mapping[str, Any]) -> Remote:
    wanted = manifest["config"]["digest"]
    answer = repository.get(f"blobs/{wanted}")
    if answer is None:
        raise repository.refused(f"blob unknown: the manifest {digest} names {wanted}, which is not there")
    _verified(repository, answer, wanted)
    config = repository.parsed(answer)
    return Remote(
        repository.name,
        digest,
        (_platform(config),),
        labels=dict((config.get("config") or {}).get("Labels") or {}),
        layers={each["digest"]: int(each["size"]) for each in manifest["layers"]},
    )


def _platform(fields: Mapping[str, str]) -> str:
    return f"{fields['os']}/{fields['architecture']}"


def _verified(repository: _Repository, answer: requests.Response, wanted: str) -> str:
    """Return the digest of the answer's body. Raises RefusedError where it is not the one *wanted*, or announced."""
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    announced = wanted or answer.headers.get("Docker-Content-Digest", digest)
    if digest != announced:
        raise repository.refused(f"the digest {digest} does not match {announced}")
    return digest


def _refusal(answer: requests.Response) -> str:
    """Return the answer's status and the registry's own words."""
    try:
        said = "; ".join(str(each.get("message") or each["code"]) for each in answer.json()["errors"])
    except (ValueError, KeyError, TypeError, AttributeError):
        said = ""
    words = f"HTTP {answer.status_code} {answer.reason}"
    return f"{words}: {said}" if said else words


def _reason(error: Exception) -> str:
    """Return what the system said, without the chain of classes and addresses that requests and urllib3 put around."""
    response = getattr(error, "response", None)
    if response is not None:
        return _refusal(response)
    if any(
        isinstance(each, TimeoutError) or type(each).__name__.endswith("TimeoutError")
        for each in network_errors.chain(error)
    ):
        return "time out"
    return network_errors.of_the_system(error).lower() or str(error)


def _untrusted(error: SSLError) -> str:
    return f"x509: {_reason(error)}"
