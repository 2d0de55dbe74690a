"""One field, one line of text; and text from elsewhere can't drive a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from console import texts
from console.cells import cell, clean, clean_lines
from console.commands.quota import bar
from console.guest_console import fresh
from console.render import columns_of, pad

SAY = texts.speak("en")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("name", None, "-"),
        ("name", "", "-"),
        ("vcpus", 0, "0"),
        ("memory_mib", 512, "512 MiB"),
        ("memory_mib", 16384, "16 GiB"),
        ("memory_mib", 1500, "1500 MiB"),
        ("memory_mib", 261632, "255.5 GiB"),
        ("disk_gib", 40, "40 GiB"),
        ("overcommit", {"disk_gib": 1.5, "memory_mib": 1.0}, "disk_gib=1.5 memory_mib=1.0"),
        ("size_bytes", 5 * 2**30, "5.0 GiB"),
        ("size_bytes", 100, "100 B"),
        ("bytes", 480_103_981_056, "447.1 GiB"),
        ("seconds", 1.447, "1.4"),
        ("seconds", None, "-"),
        ("progress", {}, "-"),
        ("progress", {"task": ""}, "-"),
        ("progress", {"task": "provision: Write the image", "percent": 0, "mb_s": 118}, "provision: Write the image, 0 %, 118 MB/s"),
        ("progress", {"task": "wipe: Wipe the disks\x1b[2J", "percent": 7}, "wipe: Wipe the disks[2J, 7 %"),
        ("cordoned", True, "yes"),
        ("addresses", ["10.0.0.1", "fd00::1"], "10.0.0.1, fd00::1"),
        ("capacity", {"vcpus": 4, "memory_mib": 2048}, "vcpus=4 memory_mib=2GiB"),
        ("container", {"image": "web:1", "ports": [], "service": None, "env": {}, "restart": "always"}, "image=web:1 restart=always"),
        ("reason", {"code": "x", "text": "no power"}, "no power"),
        ("id", "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a11", "019abf3c-1d20"),
        ("created_at", "yesterday", "yesterday"),
        ("name", "a\nb\tc", "a b c"),
    ],
)
def test_a_field_becomes_one_line(key: str, value: Any, expected: str) -> None:
    assert cell(SAY, key, value) == expected


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b31m", "\x07", "\u202e", "\r", "\x00"])
def test_control_characters_are_taken_out(text: str) -> None:
    assert all(char.isprintable() for char in clean(f"a{text}b"))
    assert all(char.isprintable() for char in clean_lines(f"a{text}b"))


def test_a_guests_console_loses_whole_control_sequences() -> None:
    assert clean_lines("\x1b[32mok\x1b[0m\r\n\x1b]0;title\x07next\tline\n") == "ok\nnext\tline\n"


def test_chinese_takes_two_columns() -> None:
    assert columns_of("楚天ab") == 6
    assert pad("楚天", 6) == "楚天  "


@pytest.mark.parametrize(
    ("used", "held", "limit", "expected"),
    [
        (0, 0, 10, "·" * 20 + " 0%"),
        (1, 1, 1000, "█▒" + "·" * 18 + " 0%"),
        (10, 0, 10, "█" * 20 + " 100%"),
        (10, 5, 10, "█" * 20 + " 150%"),
        (0, 0, 0, "█" * 20 + " 100%"),
        (3, 0, None, ""),
    ],
)
def test_a_bar_is_never_wider_than_its_limit(used: int, held: int, limit: int | None, expected: str) -> None:
    assert bar({"used": used, "held": held, "limit": limit}) == expected


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        ("", "boot", "boot"),
        ("boot", "boot", ""),
        ("boot", "boot ok", " ok"),
        ("x" * 50 + "tail", "x" * 10 + "tail", ""),
        ("a" * 100 + "b", "z" * 9, "z" * 9),
    ],
)
def test_following_a_console_prints_only_what_is_new(seen: str, now: str, expected: str) -> None:
    window = 64
    assert fresh(seen[-window:], now) == expected or len(seen) > len(now)


def test_following_a_window_that_moved_on_prints_the_rest() -> None:
    text = "".join(f"line {number}\n" for number in range(1000))
    assert fresh(text[:4000][-2000:], text[:4300][-2000:]) == text[4000:4300]
