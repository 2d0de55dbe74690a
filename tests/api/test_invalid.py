"""What is wrong with a field is said in the caller's language, whatever may be wrong."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from controller.api.containers import ContainerIn, ProbeIn
from controller.api.invalid import WORDS, words
from controller.api.schemas import InstanceIn, ItemIn


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)
    name: str


class Colour(Enum):
    RED = "red"


def refuse(text: str) -> str:
    raise ValueError(f"not {text}")


CASES: dict[str, tuple[Any, Any, str]] = {  # by kind: what is expected, what came, what must be in the words
    "missing": (Thing, {}, ""),
    "extra_forbidden": (Thing, {"name": "x", "bogus": 1}, ""),
    "model_attributes_type": (Thing, 7, "JSON"),
    "literal_error": (Literal["a", "b"], "c", "'a'"),
    "enum": (Colour, "blue", "'red'"),
    "greater_than_equal": (Annotated[int, Field(ge=3)], 2, "3"),
    "less_than_equal": (Annotated[int, Field(le=3)], 4, "3"),
    "string_pattern_mismatch": (Annotated[str, Field(pattern="^a$")], "b", "^a$"),
    "string_too_short": (Annotated[str, Field(min_length=3)], "b", "3"),
    "string_too_long": (Annotated[str, Field(max_length=3)], "bbbb", "3"),
    "too_short": (Annotated[list[int], Field(min_length=2)], [], "2"),
    "too_long": (Annotated[list[int], Field(max_length=2)], [1, 2, 3], "2"),
    "string_type": (str, 1, ""),
    "string_unicode": (str, b"\xff", "Unicode"),
    "int_type": (int, [], ""),
    "int_parsing": (int, "x", ""),
    "int_from_float": (int, 1.5, ""),
    "float_type": (float, [], ""),
    "float_parsing": (float, "x", ""),
    "finite_number": (FiniteFloat, float("nan"), ""),
    "bool_type": (bool, [], ""),
    "bool_parsing": (bool, "x", ""),
    "list_type": (list[int], 1, ""),
    "dict_type": (dict[str, int], 1, ""),
    "moment": (InstanceIn.model_fields["starts_at"].rebuild_annotation(), "2026-12-01T08:00:00", "+08:00"),
    "a_container": (ItemIn, {"flavor": "small", "kind": "container"}, "container"),
    "no_container": (ItemIn, {"flavor": "small"}, "image"),
    "no_hypervisor": (ItemIn, {"flavor": "small", "image": "debian-12", "hypervisor": "general"}, "bare_metal"),
    "one_probe": (ProbeIn, {"http_path": "/"}, "http_path"),
    "twice": (ContainerIn, {"image": "a/b:1", "ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]}, "ports"),
    "crooked": (ContainerIn, {"image": "a/b:1", "volumes": [{"name": "data", "path": "/a/../b", "size_gib": 1}]}, ".."),
    "too_much": (ContainerIn, {"image": "a/b:1", "env": {f"E{number}": "x" * 30000 for number in range(10)}}, "262144"),
    "service_ports": (ContainerIn, {"image": "a/b:1", "service": "web"}, "ports"),
    "value_error": (Annotated[str, AfterValidator(refuse)], "b", "not b"),
}


def test_every_word_is_tried_here() -> None:
    assert CASES.keys() | {"unknown_parameter"} == WORDS.keys()


@pytest.mark.parametrize("kind", CASES)
def test_what_is_wrong_is_told_in_both_languages(kind: str) -> None:
    expected, came, told = CASES[kind]
    with pytest.raises(ValidationError) as refusal:
        TypeAdapter(expected).validate_python(came)
    (error,) = refusal.value.errors()
    assert error["type"] == kind
    en, zh = words(error, "en"), words(error, "zh")
    assert told in en
    assert told in zh
    assert "{" not in en + zh
    assert en.isascii()


def test_what_the_table_does_not_name_keeps_pydantics_words() -> None:
    assert words({"type": "url_parsing", "msg": "Input should be a valid URL"}, "zh") == "Input should be a valid URL"
