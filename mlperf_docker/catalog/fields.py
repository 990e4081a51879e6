"""Kinds of fields in the files that the tool reads: words, addresses, digests."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+/\S+$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(/(\*\*|[A-Za-z0-9_]+))*/[A-Za-z0-9_]+$")]
DataPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9{][A-Za-z0-9._{}-]*(/[A-Za-z0-9{][A-Za-z0-9._{}-]*)*$")]
Setting = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:/=-]*$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
PythonVersion = Annotated[str, Field(pattern=r"^3\.[0-9]+$")]
Suffix = Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")]

Requirement = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[a-z0-9,_-]+\])?((==|>=|<=|~=|<|>)[0-9][A-Za-z0-9.*+]*(,|$))+$")
]
AptPackage = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]+$")]


class Frozen(BaseModel):
    """A value: immutable, and strict about the keys it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
