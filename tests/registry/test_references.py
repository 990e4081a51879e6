"""Names of registries and images, as people write them."""

import pytest

from mlperf_docker.errors import UsageError
from mlperf_docker.registry.references import image_name, registry_name

DIGEST = f"sha256:{'1' * 64}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "mlperf-docker", "team/sub", "registry.example/team", "registry.example:5000", "127.0.0.1:5000/a/b"),
        *("localhost", "localhost:5000/x", "[::1]:5000/x", "a__b/c_d/e.f/g--h", "docker.io/me"),
    ],
)
def test_a_registry_is_a_host_and_a_path(text: str) -> None:
    assert registry_name(text) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://registry.example/team", "registry.example/team"),
        ("HTTPS://Registry.Example/Team/", "registry.example/team"),
        ("registry.example/team/", "registry.example/team"),
        ("registry.example//team", "registry.example/team"),
        ("/team", "team"),
        ("Team", "team"),
        ("LOCALHOST:5000/x", "localhost:5000/x"),
        ("me:hunter2@registry.example/x", "registry.example/x"),
        ("registry.example/team:latest", "registry.example/team"),
        (f"registry.example:5000/team@{DIGEST}", ""),
        ("registry.example:port/x", ""),
        ("registry.example:99999/x", ""),
        ("registry.example:/x", ""),
        ("my_registry:5000/x", ""),
        ("registry.example/-x", ""),
        ("registry.example/a___b", ""),
        ("registry.example/ä", ""),
        ("a b", ""),
        (" ", ""),
        ("/", ""),
        ("https://", ""),
        ("x" * 300, ""),
    ],
)
def test_a_wrong_registry_name_is_refused_with_the_right_spelling(text: str, meant: str) -> None:
    with pytest.raises(UsageError, match="names no registry") as caught:
        registry_name(text)
    assert caught.value.hint == (f"Write {meant}" if meant else "Write for example registry.example:5000/team.")


@pytest.mark.parametrize(
    "text",
    [
        *("", "debian", "debian:bookworm-slim", "host:5000/x", "host:5000/x:Tag_1", f"x:2@{DIGEST}", f"x@{DIGEST}"),
        *("abcdef123456", DIGEST, "mlperf-docker/base:given-222222222222"),
    ],
)
def test_an_image_is_named_as_docker_does(text: str) -> None:
    assert image_name(text) == text


@pytest.mark.parametrize("text", ["Debian:x", "https://x/y", "x:", "x@", "x@sha256:12", "-x", "a b", "x:-a", "x/"])
def test_a_name_that_docker_refuses_for_an_image_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no name of an image"):
        image_name(text)
