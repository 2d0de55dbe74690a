"""What a fake backend's address says: which world it names, how many hosts of which shape, and how it misbehaves.

In: `fake:NAME?hosts=1000&build_s=2` (in this process's memory) or `fake:///path/to/dir?hosts=4` (a directory shared by processes), and
the endpoint's options, which win over the query. Out: an `Address`. Every knob and its default stand in `Knobs`; `PARSERS` says how
each is read; anything unknown or unreadable is InvalidSpec, because a knob misspelt in silence makes a test prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from drivers.errors import InvalidSpec


@dataclass(frozen=True, slots=True)
class Knobs:
    """The shape of the hosts and of their faults."""

    hosts: int = 1
    vcpus: int = 64  # of every host, as are those down to its CPU baselines
    memory_mib: int = 262_144
    disk_gib: int = 4_000
    gpus: int = 0
    gpu_model: str = ""
    gpu_shared: bool = False  # parts of a GPU may be given out
    cells: int = 0  # NUMA cells that share vcpus and memory equally
    cpu_baselines: tuple[str, ...] = ()
    arch: tuple[str, ...] = ("x86_64",)  # dealt to the hosts in turn
    kinds: tuple[str, ...] = ("vm",)
    traits: tuple[str, ...] = ()
    machine: str = ""  # UUID of the machine that the first of the hosts is on
    off: int = 0  # so many of the hosts, the last ones, are switched off
    foreign: int = 0  # so many guests that are not ours, spread over the hosts
    build_s: float = 0.0  # a new or rebuilt instance is BUSY for so long
    stop_s: float = 0.0  # a polite shutdown is BUSY for so long
    ignores_shutdown: bool = False  # guests never stop politely
    latency_s: float = 0.0  # every call sleeps so long first
    fail: float = 0.0  # this share of calls raises Transient, half of them after the effect took place
    seed: int = 0  # of those failures
    verify: bool = True  # read the image's file and compare its SHA-256
    overcommit_vcpus: float = 4.0  # a host asked to hold more than inventory times this is a violation
    overcommit_memory_mib: float = 1.0
    overcommit_disk_gib: float = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a world is: `directory` is None for one in memory. `given` holds the options as written, to tell two shapes apart."""

    name: str
    directory: str | None
    knobs: Knobs
    given: Mapping[str, str] = field(default_factory=dict)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _flag(text: str) -> bool:
    return {"0": False, "1": True, "false": False, "true": True}[text.lower()]


PARSERS: Mapping[str, Callable[[str], object]] = {
    "hosts": int,
    "vcpus": int,
    "memory_mib": int,
    "disk_gib": int,
    "gpus": int,
    "gpu_model": str,
    "gpu_shared": _flag,
    "cells": int,
    "cpu_baselines": _words,
    "arch": _words,
    "kinds": _words,
    "traits": _words,
    "machine": str,
    "off": int,
    "foreign": int,
    "build_s": float,
    "stop_s": float,
    "ignores_shutdown": _flag,
    "latency_s": float,
    "fail": float,
    "seed": int,
    "verify": _flag,
    "overcommit_vcpus": float,
    "overcommit_memory_mib": float,
    "overcommit_disk_gib": float,
}


def read_knobs(given: Mapping[str, str]) -> Knobs:
    """The knobs as written in an address; raises InvalidSpec for one that is unknown or unreadable."""
    values: dict[str, object] = {}
    for key, text in given.items():
        if key not in PARSERS:
            raise InvalidSpec(detail=f"unknown option {key!r} of a fake endpoint; there are: {', '.join(PARSERS)}")
        try:
            values[key] = PARSERS[key](text)
        except (ValueError, KeyError) as error:
            raise InvalidSpec(detail=f"option {key} of a fake endpoint can't be {text!r}") from error
    knobs = Knobs(**values)  # type: ignore[arg-type]  # PARSERS gives each key its type
    if min(knobs.hosts, knobs.cells, knobs.gpus) < 0 or not knobs.arch:
        raise InvalidSpec(detail="a fake endpoint needs hosts, cells and gpus >= 0 and at least one arch")
    return knobs


def read_address(uri: str, options: Mapping[str, str]) -> Address:
    """Split `uri` and read its options; raises InvalidSpec."""
    parts = urlsplit(uri)
    path = unquote(parts.path)
    name = parts.netloc or path
    if parts.scheme != "fake" or not name or (parts.netloc and path not in {"", "/"}):
        raise InvalidSpec(detail=f"{uri!r} is neither fake:NAME?... nor fake:///directory?...")
    given = dict(sorted({**dict(parse_qsl(parts.query, keep_blank_values=True)), **options}.items()))
    return Address(name, path if name.startswith("/") else None, read_knobs(given), given)
