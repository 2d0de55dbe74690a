"""What a driver may raise, by what the caller should do about it.

* DriverError
  x Transient            try again later; nothing is known to have changed
    - HostUnreachable    the backend, or the host behind it, does not answer
    - Timeout            the backend answered, but not within the time given
    - TenantUnsettled    the endpoint must be told of the project's share first (`drivers.container.Tenants`)
    - EvictionHeld       a budget of the backend allows nobody to be taken away just now
    - NotRunning         there is nothing that runs, so nothing to talk to
  x Unauthorized         the backend refuses our credentials, or they lack a right: tried again, as their owner can mend that
  x Permanent            trying again unchanged cannot help
    - InvalidSpec        the backend refuses this specification
    - ImageNotFound      the image's bytes are missing from the controller's store
    - ImageCorrupt       the image's bytes do not have the digests on record: it must not boot
    - DiskMissing        the root disk that was made before is gone: data was lost
    - NotSupported       this backend cannot do that
    - PolicyRefused      a rule of the backend refuses it, and says why

Every error carries a `Reason`: a stable code with parameters, which the controller turns into a sentence in the reader's language.
Anything else that escapes a driver is a bug; the controller treats it as transient and raises an alarm.
"""

from drivers.base import Reason


class DriverError(Exception):
    """Base of all; `reason` says what went wrong in terms a catalogue can translate."""

    code = "driver_error"

    def __init__(self, **params: str | int) -> None:
        self.reason = Reason(self.code, params)
        super().__init__(f"{self.code}: {params}")


class Transient(DriverError):
    """Try again later."""

    code = "backend_busy"


class HostUnreachable(Transient):
    """The backend, or the host behind it, does not answer. Parameters: `detail`."""

    code = "host_unreachable"


class Timeout(Transient):
    """An answer did not come in time. Parameters: `detail`."""

    code = "backend_timeout"


class TenantUnsettled(Transient):
    """The endpoint must be told of the project's share first. Parameters: `detail`."""

    code = "tenant_unsettled"


class EvictionHeld(Transient):
    """A budget allows nobody to be taken away just now. Parameters: `detail`."""

    code = "eviction_held"


class NotRunning(Transient):
    """Nothing runs there to talk to. Parameters: `detail`."""

    code = "not_running"


class Permanent(DriverError):
    """Trying again unchanged cannot help."""

    code = "backend_refused"


class InvalidSpec(Permanent):
    """The backend refuses the specification. Parameters: `detail`."""

    code = "invalid_spec"


class ImageNotFound(Permanent):
    """The image's bytes are missing from the controller's store. Parameters: `image`."""

    code = "image_missing"


class ImageCorrupt(Permanent):
    """The bytes do not match a digest. Parameters: `image`, `algorithm`, `expected`, `actual`, `where`."""

    code = "image_corrupt"


class DiskMissing(Permanent):
    """The root disk that was made before is gone. Parameters: `detail`."""

    code = "disk_missing"


class NotSupported(Permanent):
    """The backend has no such power. Parameters: `detail`."""

    code = "not_supported"


class Unauthorized(DriverError):
    """The credentials are refused, or lack a right: their owner can mend that. Parameters: `detail`."""

    code = "credentials_refused"


class PolicyRefused(Permanent):
    """A rule of the backend refuses it. Parameters: `detail`."""

    code = "policy_refused"
