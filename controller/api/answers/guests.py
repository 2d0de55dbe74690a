"""What comes out of an instance itself."""

from __future__ import annotations

from pydantic import Field

from controller.api.answers.base import Out


class ExecOut(Out):
    """What a command left behind."""

    exit_code: int = Field(examples=[0])
    stdout: str = Field(examples=["web-1\n"])
    stderr: str = Field(examples=[""])
    truncated: bool = Field(description="It wrote more than is told.", examples=[False])


class ConsoleOut(Out):
    """The end of a serial console's log, or of a container's output."""

    text: str = Field(examples=["login: "])
