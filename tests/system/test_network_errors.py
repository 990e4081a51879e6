"""The chains of errors that libraries really make of what the system says."""

import socket

import docker
import pytest
import requests
from docker.errors import DockerException

from mlperf_docker.system import network_errors


def nobody() -> str:
    """Return an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_refused_connection_is_found_below_requests_and_docker_py() -> None:
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get(nobody(), timeout=5, proxies={"http": ""})
    assert network_errors.of_the_system(caught.value) == "Connection refused"
    with pytest.raises(DockerException) as below:
        docker.APIClient(nobody(), version="auto", timeout=5)
    assert network_errors.of_the_system(below.value) == "Connection refused"
    assert type([*network_errors.chain(below.value)][-1]) is ConnectionRefusedError


def test_a_missing_socket_is_found_below_docker_py() -> None:
    with pytest.raises(DockerException) as caught:
        docker.APIClient("unix:///nowhere.sock", version="auto", timeout=5)
    assert network_errors.of_the_system(caught.value) == "No such file or directory"


def test_an_error_without_a_system_error_has_no_cause() -> None:
    assert network_errors.of_the_system(ValueError("no")) == ""
