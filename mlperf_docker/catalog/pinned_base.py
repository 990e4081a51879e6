"""Names of a base image that is pinned by its digest."""


class PinnedBase:
    """A base by tag and digest, and the suite of Debian that stands in for it."""

    reference: str
    digest: str
    suite: str

    @property
    def pinned(self) -> str:
        """The reference that `FROM` takes: tag for people, digest for machines."""
        return f"{self.reference}@{self.digest}"

    @property
    def is_debian(self) -> bool:
        """Whether it is the suite that stands in for it, and not another distribution's."""
        return self.reference.rpartition("/")[2].startswith("debian:")
