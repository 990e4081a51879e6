"""Objects of a Kubernetes API server, their versions, and what changed since one."""

import copy
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


class Refusal(Exception):  # noqa: N818  # what the server answers
    """A request that is refused."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def fields(self) -> Object:
        """The Status object that says so."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.status,
        }


@dataclass
class State:
    """namespaces: those that there are; forgotten: the version up to which changes are not told any more."""

    namespaces: set[str] = field(default_factory=lambda: {"lab"})
    forgotten: int = 0
    _version: int = 0
    _closed: bool = False
    _objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    _changes: list[tuple[int, str, str, Object]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))

    def create(self, kind: str, namespace: str, given: Object) -> Object:
        if namespace not in self.namespaces:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        name = given["metadata"]["name"]
        if given["metadata"].get("namespace", namespace) != namespace:
            raise Refusal(400, "BadRequest", "the namespace of the object does not match that of the request")
        with self._changed:
            if (kind, namespace, name) in self._objects:
                raise Refusal(409, "AlreadyExists", f'{kind} "{name}" already exists')
            made = copy.deepcopy(given)
            uid, now = f"uid-{self._version + 1}", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            made["metadata"] |= {"namespace": namespace, "uid": uid, "creationTimestamp": now}
            made.setdefault("status", {})
            return self._changed_to("ADDED", kind, made)

    def update(self, kind: str, namespace: str, name: str, change: Callable[[Object], None]) -> None:
        """Change an object, if it is there."""
        with self._changed:
            found = self._objects.get((kind, namespace, name))
            if found is not None:
                changed = copy.deepcopy(found)
                change(changed)
                self._changed_to("MODIFIED", kind, changed)

    def get(self, kind: str, namespace: str, name: str) -> Object:
        with self._changed:
            found = self._objects.get((kind, namespace, name))
            if found is None:
                raise Refusal(404, "NotFound", f'{kind} "{name}" not found')
            return found

    def delete(self, kind: str, namespace: str, name: str) -> Object:
        with self._changed:
            found = self.get(kind, namespace, name)
            return self._changed_to("DELETED", kind, copy.deepcopy(found))

    def listed(self, kind: str, namespace: str, selector: str = "") -> tuple[list[Object], str]:
        with self._changed:
            found = [
                each
                for (its_kind, its_namespace, _), each in self._objects.items()
                if (its_kind, its_namespace) == (kind, namespace) and _selected(each, selector)
            ]
            return found, str(self._version)

    def watched(self, kind: str, namespace: str, selector: str, version: int, seconds: float) -> Iterator[Object]:
        """Yield the changes after *version*, as they come; an ERROR where they are forgotten."""
        deadline = time.monotonic() + seconds
        while not self._closed:
            with self._changed:
                if version < self.forgotten:
                    gone = Refusal(410, "Expired", f"too old resource version: {version} ({self.forgotten})")
                    yield {"type": "ERROR", "object": gone.fields()}
                    return
                new = [each for each in self._changes if each[0] > version]
                if not new and not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return
            for version, its_kind, type_, found in new:  # noqa: B007  # goes on from the last
                if its_kind == kind and found["metadata"]["namespace"] == namespace and _selected(found, selector):
                    yield {"type": type_, "object": found}

    def forget(self) -> None:
        """Forget all changes so far, as a server does after some minutes."""
        with self._changed:
            self._version += 1
            self.forgotten = self._version
            self._changed.notify_all()

    def close(self) -> None:
        """End all watches."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _changed_to(self, type_: str, kind: str, found: Object) -> Object:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        key = (kind, found["metadata"]["namespace"], found["metadata"]["name"])
        if type_ == "DELETED":
            self._objects.pop(key, None)
        else:
            self._objects[key] = found
        self._changes.append((self._version, kind, type_, found))
        self._changed.notify_all()
        return found


def _selected(found: Object, selector: str) -> bool:
    labels = found["metadata"].get("labels", {})
    return all(
        labels.get(key) == value for key, _, value in (each.partition("=") for each in selector.split(",") if each)
    )
