"""What is wrong with a field, in the caller's language: pydantic's kinds of errors in one table.

In: one of pydantic's errors. Out: a few words. A kind that the table does not name keeps pydantic's own, which are English.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.messages import LANGUAGES

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("is needed", "必填"),
    "extra_forbidden": ("there is no such field", "没有此字段"),
    "unknown_parameter": ("there is no such parameter here", "此处没有这个参数"),
    "model_attributes_type": (
        "a JSON object is needed, with Content-Type: application/json",
        "应为 JSON 对象，且 Content-Type 为 application/json",
    ),
    "literal_error": ("must be {expected}", "应为 {expected}"),
    "enum": ("must be {expected}", "应为 {expected}"),
    "greater_than_equal": ("must be {ge} or more", "不能小于 {ge}"),
    "less_than_equal": ("must be {le} or less", "不能大于 {le}"),
    "string_pattern_mismatch": ("must match {pattern}", "应匹配 {pattern}"),
    "string_too_short": ("must have {min_length} characters or more", "至少 {min_length} 个字符"),
    "string_too_long": ("must have {max_length} characters or fewer", "最多 {max_length} 个字符"),
    "too_short": ("must have {min_length} entries or more", "至少 {min_length} 项"),
    "too_long": ("must have {max_length} entries or fewer", "最多 {max_length} 项"),
    "string_type": ("must be a text", "应为文本"),
    "string_unicode": ("must be valid Unicode", "应为有效的 Unicode 文本"),
    "int_type": ("must be a whole number", "应为整数"),
    "int_parsing": ("must be a whole number", "应为整数"),
    "int_from_float": ("must be a whole number", "应为整数"),
    "float_type": ("must be a number", "应为数字"),
    "float_parsing": ("must be a number", "应为数字"),
    "finite_number": ("must be a finite number", "应为有限的数"),
    "bool_type": ("must be true or false", "应为 true 或 false"),
    "bool_parsing": ("must be true or false", "应为 true 或 false"),
    "list_type": ("must be a list", "应为列表"),
    "dict_type": ("must be an object", "应为对象"),
    "moment": (
        "must be a moment with its time zone, as 2026-12-01T08:00:00+08:00",
        "应为带时区的时间，如 2026-12-01T08:00:00+08:00",
    ),
    "a_container": (
        "a container needs `container`, and no image, user_data or ssh_keys",
        "容器类应给出 container，且不带 image、user_data、ssh_keys",
    ),
    "no_container": (
        "needs an image, and no `container` unless its kind is container",
        "应给出 image；仅 kind 为 container 时才能给出 container",
    ),
    "no_hypervisor": (
        "only a machine of the kind bare_metal can be made a hypervisor",
        "仅 kind 为 bare_metal 的服务器可以部署为虚拟化主机",
    ),
    "one_probe": ("needs a port (and perhaps an http_path), or a command", "应给出 port（可带 http_path），或给出 command"),
    "twice": ("{what} must differ", "{what} 不能重复"),
    "crooked": ("must not contain . or ..", "不能含有 . 或 .."),
    "too_much": ("words and variables have more than {most} bytes", "命令、参数和变量合计超过 {most} 字节"),
    "service_ports": ("a service needs ports", "提供 service 时应给出 ports"),
    "value_error": ("{error}", "{error}"),
}


def words(error: Mapping[str, Any], lang: str) -> str:
    """What is wrong, without saying where."""
    said = WORDS.get(error["type"])
    return str(error["msg"]) if said is None else said[LANGUAGES.index(lang)].format_map(error.get("ctx", {}))
