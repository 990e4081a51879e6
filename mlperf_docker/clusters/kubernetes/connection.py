"""Connection to a cluster by the official client, an extra that is imported when a cluster is asked for."""

import os
from dataclasses import dataclass
from typing import Any

import yaml

from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.errors import UsageError

# What the client raises beside its own errors, where a kubeconfig is not what it should be.
_DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True)
class Connection:
    """Connection to the API of a cluster."""

    package: Any
    """The client's package."""
    api: Any
    """Its ApiClient."""
    namespace: str
    """The namespace of the campaign's Jobs."""

    @property
    def host(self) -> str:
        """The API's address."""
        return str(self.api.configuration.host)


def connect(settings: KubernetesSettings) -> Connection:
    """Return the connection that the kubeconfig tells of, or in a pod its service account. Raises UsageError."""
    try:
        import kubernetes.client
        import kubernetes.config
        import kubernetes.watch
    except ImportError as error:
        raise UsageError(
            "The Python client of Kubernetes is not installed.",
            hint="Install it: pip install 'mlperf-docker[kubernetes]'",
        ) from error
    configuration = kubernetes.client.Configuration()
    configuration.retries = False
    try:
        namespace = _configure(kubernetes.config, configuration, settings.context)
    except (kubernetes.config.ConfigException, yaml.YAMLError, *_DAMAGED) as error:
        raise UsageError(
            f"No cluster is known: {str(error).partition(chr(10))[0].rstrip('.')}.",
            hint="Name a kubeconfig with KUBECONFIG, and its context with kubernetes: {context: NAME} in campaign.yaml."
            " Without a connection: mlperf-docker campaign export --to kubernetes",
        ) from error
    return Connection(kubernetes, kubernetes.client.ApiClient(configuration), settings.namespace or namespace)


def _configure(config: Any, configuration: Any, context: str | None) -> str:  # noqa: ANN401  # the client's own
    """Fill *configuration*, and return the namespace that goes with it."""
    file = os.environ.get("KUBECONFIG") or None  # the client looks at it once, when it is imported
    try:
        config.load_kube_config(file, context, configuration, persist_config=False)
    except config.ConfigException:
        if not os.environ.get("KUBERNETES_SERVICE_HOST"):
            raise
        config.load_incluster_config(configuration)
        return "default"
    contexts, current = config.list_kube_config_contexts(file)
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")
