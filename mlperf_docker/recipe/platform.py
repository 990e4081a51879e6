"""Platform of images, as Python's markers and wheels name it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Platform:
    """A machine with Linux, and the oldest glibc among the bases."""

    machine: str
    """`platform_machine` of Python's environment markers."""
    wheels: str
    """Tag of the newest wheels that run on every base, and on what people use instead."""

    @property
    def target(self) -> str:
        """The name by which uv knows it."""
        return f"{self.machine}-{self.wheels}"


# manylinux_2_28 wheels run on every base here: glibc 2.36 and later.
IMAGES = Platform("x86_64", "manylinux_2_28")
