"""Problems of fields in words."""

import pytest
from pydantic import BaseModel, ValidationError

from mlperf_docker.system import field_problems


class Outer(BaseModel):
    """A file with a list of numbers."""

    numbers: list[int]


@pytest.mark.parametrize(
    ("value", "told"),
    [({"numbers": [1, "x"]}, "numbers.1: Input should be a valid integer"), ([], "all of it: Input should be")],
)
def test_a_problem_is_told_with_its_field(value: object, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(value)
    (line,) = field_problems.told(caught.value, whole="all of it")
    assert line.startswith(told)
