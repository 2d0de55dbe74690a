"""The settings: one frozen object, from a TOML file and the environment (`CHUTIAN_…`), validated once at start.

The environment wins over the file. `docs/configuration.md` is generated from this class, so each field says what it is for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

CONFIG_ENV = "CHUTIAN_CONFIG"
_WRONG = {"extra_forbidden": "there is no such setting"}  # where pydantic's words would not help


class Settings(BaseSettings):
    """Everything an operator may set. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="CHUTIAN_", frozen=True, extra="forbid")

    data_dir: Path = Field(Path("/var/lib/chutian"), description="Where the embedded database, images, certificates and keys are kept.")
    database_url: str | None = Field(
        None, description="An outside PostgreSQL (`postgresql://user@host/name`, 15 or newer); the embedded one is used when it is not set."
    )
    auto_migrate: bool = Field(False, description="Bring the database's schema up to date at start instead of refusing to start.")
    listen: str = Field("127.0.0.1:8443", description="Address and port of the API.", pattern=r"^\S+:\d+$")
    tls: Literal["auto", "off"] = Field(
        "auto",
        description="`auto` serves HTTPS, with `tls_cert` and `tls_key` or a certificate of its own CA;"
        " `off` is refused on anything but loopback.",
    )
    tls_cert: Path | None = Field(None, description="PEM certificate chain of the API.")
    tls_key: Path | None = Field(None, description="PEM private key of the API.")
    api_url: str | None = Field(
        None,
        description="How playbooks that this controller runs reach its API, where `tls_cert` isn't for the address that is listened on.",
        pattern=r"^https?://\S+$",
    )
    api_ca: Path | None = Field(None, description="PEM file with who signed `tls_cert`, for them; else whom the machine trusts.")
    seal_keys: Path | None = Field(
        None,
        description="File with the keys that seal secrets in the database; else `data_dir/keys/seal.keys`, made at the first start.",
    )
    database_connections: int = Field(20, ge=6, le=200, description="Most connections to the database that one controller opens.")
    workers: int = Field(64, ge=1, le=256, description="Threads that talk to endpoints.")
    workers_per_endpoint: int = Field(
        8, ge=1, le=256, description="Most of them that one endpoint may occupy, so that a silent one leaves room for others."
    )
    workers_per_cluster: int = Field(
        48,
        ge=1,
        le=256,
        description="The same for a Kubernetes cluster, which has many hosts, and counts containers that come at once together against a"
        " project's quota.",
    )
    workers_per_region: int = Field(
        32,
        ge=1,
        le=256,
        description="The same for an OpenStack region: so many servers are asked for at once; what is read of single ones is read of many"
        " together, one request at a time. Set it lower where nova-api answers 429 or 503.",
    )
    request_ttl_s: int = Field(7 * 86400, ge=1, description="How long an undecided request holds quota and capacity.")
    observe_interval_s: float = Field(
        15.0, gt=0, description="How often every endpoint is looked at as a whole; drift is seen within this time."
    )
    build_deadline_s: int = Field(1800, ge=1, description="An instance not built by then is in error.")
    change_deadline_s: int = Field(600, ge=1, description="Any other change not done by then is reported as overdue, and tried on.")
    stop_grace_s: int = Field(60, ge=0, description="How long a guest may take to shut down before its power is cut.")
    retry_max_s: float = Field(30.0, gt=0, description="Longest pause between two tries of a failing step.")
    lease_s: float = Field(15.0, ge=1, description="A controller that died leaves its work to others after this time.")
    depot_listen: str | None = Field(
        None,
        description="Address and port, on the network of bare machines, at which they fetch what they start from, by plain HTTP;"
        " without it machines are enrolled and looked at, and not handed out. `guests/ramdisk/build` makes what is served:"
        " its folder is `data_dir/depot/ramdisk`.",
        pattern=r"^\S+:\d+$",
    )
    depot_url: str | None = Field(
        None,
        description="How bare machines and their BMCs reach it, where that isn't `http://` and `depot_listen`.",
        pattern=r"^https?://\S+$",
    )
    playbooks_dir: Path | None = Field(
        None, description="The folder of the playbooks that bare machines are set up with; else this release's."
    )
    metal_runs: int = Field(
        4, ge=1, le=64, description="Bare machines that this controller inspects, provisions or wipes at once; each takes some 80 MiB."
    )
    max_body_bytes: int = Field(1 << 20, ge=1024, description="Largest body of a request other than an image's content.")
    max_image_bytes: int = Field(64 << 30, ge=1 << 20, description="Largest image that may be imported.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the TOML file named by `CHUTIAN_CONFIG`."""
        file = os.environ.get(CONFIG_ENV)
        toml = (TomlConfigSettingsSource(settings_cls, Path(file)),) if file else ()
        return init_settings, env_settings, *toml

    @property
    def image_dir(self) -> Path:
        """Where image files are kept, one per image id."""
        return self.data_dir / "images"

    @property
    def seal_path(self) -> Path:
        """Where the keys are that seal secrets."""
        return self.seal_keys or self.data_dir / "keys" / "seal.keys"

    @property
    def depot_at(self) -> str:
        """The URL of the depot for bare machines; empty where there is none."""
        return (self.depot_url or f"http://{self.depot_listen}").rstrip("/") if self.depot_listen else ""

    @property
    def api_at(self) -> tuple[str, str]:
        """URL of the API for who is on this machine, and the file with who signed its certificate; empty for whom the machine trusts."""
        host, port = self.address
        reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        url = self.api_url or f"{'http' if self.tls == 'off' else 'https'}://{reached}:{port}"
        own = self.data_dir / "tls" / "ca.pem" if not self.tls_cert else None
        return url, str(self.api_ca or own or "")

    @property
    def playbooks(self) -> Path:
        """Where the playbooks are."""
        return self.playbooks_dir or Path(__file__).parents[1] / "playbooks"

    def at_once(self, driver: str) -> int:
        """How many workers one endpoint of a driver may occupy."""
        of_driver = {"kubernetes": self.workers_per_cluster, "openstack": self.workers_per_region}
        return of_driver.get(driver, self.workers_per_endpoint)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


def load() -> Settings:
    """The settings of this process. Raises ValueError, whose text names what is wrong, a line for each."""
    file = os.environ.get(CONFIG_ENV)
    try:
        if file:
            Path(file).open("rb").close()  # one that is not there would be taken for an empty one, and the defaults for what was meant
        return Settings()
    except ValidationError as error:
        found = ((".".join(map(str, one["loc"])), one) for one in error.errors())
        raise ValueError("\n".join(f"settings: {name}: {_WRONG.get(one['type'], one['msg'])}" for name, one in found)) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"settings: {file}: {error.strerror if isinstance(error, OSError) else error}") from None
