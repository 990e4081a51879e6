"""Namespace of a cluster, as its API tells of it and changes it.

Objects are what the API's JSON says. The client's models are not used: an object of a newer cluster would not fit them.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.clusters.kubernetes.connection import connect
from mlperf_docker.clusters.kubernetes.jobs import CAMPAIGN_LABEL
from mlperf_docker.errors import ClusterError, UsageError
from mlperf_docker.system import field_problems

Message = Mapping[str, Any]
_CONNECT_S, _ANSWER_S = 10, 60
_WATCH_S = 300
"""Seconds after which a watch or a log that is followed is asked for anew, so that a dead connection is noticed."""
_GONE, _NOT_FOUND, _CONFLICT, _FORBIDDEN, _UNAUTHORIZED = 410, 404, 409, 403, 401
_TOO_MANY, _SERVER_FAULT = 429, 500
_HIGHEST_SUCCESS = 299
_PIECE_BYTES = 1 << 16


class ApiRefusalError(ClusterError):
    """The API refused a request."""

    def __init__(self, status: int, reason: str, message: str, hint: str | None = None) -> None:
        self.status, self.reason = status, reason
        super().__init__(message, hint=hint)

    @property
    def is_gone(self) -> bool:
        """Whether the API has forgotten what a watch was to begin with."""
        return self.status == _GONE

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be taken later."""
        return self.status == _TOO_MANY or self.status >= _SERVER_FAULT

    @property
    def is_missing(self) -> bool:
        """Whether there is no such object."""
        return self.status == _NOT_FOUND

    @property
    def is_there(self) -> bool:
        """Whether an object of that name is there already."""
        return self.status == _CONFLICT and self.reason == "AlreadyExists"


@dataclass(frozen=True)
class Listed:
    """Objects at one moment."""

    items: tuple[Message, ...]
    version: str
    """The moment, from which a watch goes on."""


class Cluster:
    """Namespace of a cluster."""

    def __init__(self, settings: KubernetesSettings) -> None:
        """Connect. Raises UsageError where no cluster is known."""
        self._connection = connect(settings)
        self.namespace = self._connection.namespace
        package, api = self._connection.package, self._connection.api
        self._batch = package.client.BatchV1Api(api)
        self._core = package.client.CoreV1Api(api)
        self._network = package.client.NetworkingV1Api(api)
        self._watch: Callable[..., Any] = package.watch.Watch

    def create_job(self, manifest: Message) -> None:
        """Create a Job."""
        self._ask("create the Job", self._batch.create_namespaced_job, self.namespace, manifest)

    def create_policy(self, manifest: Message) -> None:
        """Create a NetworkPolicy; one of its name that is there stays."""
        try:
            self._ask(
                "create the NetworkPolicy", self._network.create_namespaced_network_policy, self.namespace, manifest
            )
        except ApiRefusalError as error:
            if not error.is_there:
                raise

    def jobs(self, campaign: str) -> Listed:
        """Return the Jobs of *campaign*."""
        selector = f"{CAMPAIGN_LABEL}={campaign}"
        return _listed(self._ask("list Jobs", self._batch.list_namespaced_job, self.namespace, label_selector=selector))

    def pods(self, campaign: str) -> Listed:
        """Return the pods of *campaign*."""
        selector = f"{CAMPAIGN_LABEL}={campaign}"
        return _listed(self._ask("list pods", self._core.list_namespaced_pod, self.namespace, label_selector=selector))

    def delete_job(self, name: str) -> None:
        """Delete the Job *name* and its pods; one that is gone is no error."""
        try:
            self._ask(
                "delete the Job",
                self._batch.delete_namespaced_job,
                name,
                self.namespace,
                propagation_policy="Background",
            )
        except ApiRefusalError as error:
            if not error.is_missing:
                raise

    def node(self, name: str) -> Message | None:
        """Return the node *name*; None where we may not see it, or it is gone."""
        try:
            return self._ask("read the node", self._core.read_node, name)
        except ApiRefusalError:
            return None

    def changes(self, campaign: str, version: str) -> Iterator[Message]:
        """Yield the pods of *campaign* that change from *version* on, for some minutes.

        Raises ApiRefusalError, one that `is_gone` where the API does not know that version any more.
        """
        asked = self._watch(return_type="object").stream(
            self._core.list_namespaced_pod,
            self.namespace,
            label_selector=f"{CAMPAIGN_LABEL}={campaign}",
            resource_version=version,
            timeout_seconds=_WATCH_S,
            _request_timeout=(_CONNECT_S, _WATCH_S + _ANSWER_S),
        )
        with self._translated("watch pods"):
            yield from (event["raw_object"] for event in asked)

    def log(self, pod: str) -> Iterator[bytes]:
        """Yield the log of *pod* up to its end, in pieces."""
        answer = self._open(
            "read the log of the pod", self._core.read_namespaced_pod_log, pod, self.namespace, follow=True
        )
        with self._translated("read the log of the pod"):
            try:
                yield from answer.stream(_PIECE_BYTES)
            finally:
                answer.release_conn()

    def _ask(self, done: str, call: Callable[..., Any], *names: object, **options: object) -> Message:
        """Return what the API answers to *call*. done: what it is for."""
        answer = self._open(done, call, *names, **options)
        with self._translated(done):
            found = json.loads(answer.data)
        return found if isinstance(found, dict) else {}

    def _open(self, done: str, call: Callable[..., Any], *names: object, **options: object) -> Any:  # noqa: ANN401
        """Return the API's answer to *call*, not read yet."""
        with self._translated(done):
            answer = call(*names, **options, _preload_content=False, _request_timeout=(_CONNECT_S, _ANSWER_S))
            if answer.status > _HIGHEST_SUCCESS:
                raise self._refused(done, answer.status, answer.data)
        return answer

    def _refused(self, done: str, status: int, body: bytes) -> ApiRefusalError:
        """Return the error that a Status of the API tells of."""
        told = _status_of(body)
        message, reason = told.get("message") or f"HTTP status {status}", str(told.get("reason") or "")
        hints = {
            _UNAUTHORIZED: "The kubeconfig's credentials are not valid, or not any more: log in again.",
            _FORBIDDEN: f"Ask for the right to do this in the namespace {self.namespace}; see it with:"
            " kubectl auth can-i --list",
            _NOT_FOUND: f"Is there a namespace {self.namespace}? See: kubectl get namespaces. Another one is named by"
            " kubernetes: {namespace: NAME} in campaign.yaml.",
        }
        return ApiRefusalError(status, reason, f"The cluster refuses to {done}: {message}.", hints.get(status))

    @contextlib.contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        """Turn the client's errors into this tool's."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ValidationError as error:  # the client looks at a manifest before it sends it
            told = "; ".join(field_problems.told(error))
            raise UsageError(
                f"Kubernetes' client refuses to {done}: {told}.", hint="See `kubernetes` in campaign.yaml."
            ) from error
        except ApiException as error:
            raise self._refused(done, error.status or 0, _body(error)) from error
        except (HTTPError, OSError, json.JSONDecodeError) as error:
            raise ClusterError(
                f"The cluster at {self._connection.host} does not answer, asked to {done}: {_brief(error)}.",
                hint="See: kubectl cluster-info",
            ) from error


def _body(error: Any) -> bytes:  # noqa: ANN401  # the client's ApiException
    """Return the Status that *error* came with; of a watch there is its reason only."""
    body = error.body or json.dumps({"message": error.reason or str(error)})
    return body if isinstance(body, bytes) else str(body).encode()


def _brief(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error).partition("\n")[0].rstrip(".")


def _status_of(body: bytes) -> Message:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _listed(answer: Message) -> Listed:
    return Listed(tuple(answer.get("items") or ()), str((answer.get("metadata") or {}).get("resourceVersion") or ""))
