"""What a driver may raise, by what the caller should do about it.

* DriverError
  x Transient            try again later; nothing is known to have changed
    - HostUnreachable    the backend, or the host behind it, does not answer
      . BmcUnreachable        a machine's BMC does not answer
      . CertificateChanged    a BMC shows another certificate than the one that was pinned: nothing was sent to it
      . CertificateUntrusted  a BMC's certificate is signed by nobody whom we were told to trust: nothing was sent to it
      . DepotUnreachable      the depot doesn't serve what a machine is to fetch there
      . SshUnreachable        a machine that should be up doesn't answer by ssh, or not with the host key that it was given
    - Timeout            the backend answered, but not within the time given
      . PowerUnchanged        a BMC took a power action, and the machine's power did not change within the time given
      . BootIgnored           a machine is on, but did not boot from where its BMC was told
      . NoDhcpAnswer          a machine asked for an address by DHCP, and got none that leads to the depot
      . RamdiskSilent         a machine began to boot the ramdisk, which did not call back
      . DeadlinePassed        a step on a machine took longer than it was given
    - BmcBusy            a BMC takes no requests just now
    - TenantUnsettled    the endpoint must be told of the project's share first (`drivers.container.Tenants`)
    - EvictionHeld       a budget of the backend allows nobody to be taken away just now
    - DepotClosed        what machines start from can't be served to them
    - MachineTaken       the machine is another instance's, or not clean yet
    - MachineAtWork      a playbook works on the machine
    - NotRunning         there is nothing that runs, so nothing to talk to
  x Unauthorized         the backend refuses our credentials, or they lack a right: tried again, as their owner can mend that
    - PasswordRefused    a BMC refuses user name or password
  x Permanent            trying again unchanged cannot help
    - InvalidSpec        the backend refuses this specification
      . SystemUnknown         the BMC has no machine of that id, or several and none was named
      . CipherRefused         the BMC doesn't speak the IPMI cipher suite that was asked for
    - ImageNotFound      the image's bytes are missing from the controller's store
    - ImageCorrupt       the image's bytes do not have the digests on record: it must not boot
    - DiskMissing        the root disk that was made before is gone: data was lost
    - NotSupported       this backend cannot do that
    - PolicyRefused      a rule of the backend refuses it, and says why
    - PowerRefused       a BMC refuses a power action
    - WrongMachine       the machine that came up is not the one that was meant: nothing is written to it
    - ChecksumMismatch   what was stored, or served to a machine, is not what its digest says
    - DiskTooSmall       no disk of the machine has room for the image
    - WriteError         a disk can't be written
    - ReadbackMismatch   a disk doesn't hold what was written to it
    - WipeFailed         a disk could not be wiped, or not be proven to be
    - MachineQuarantined the machine could not be cleared, and is given to nobody until its operators decide

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


class NoGuestRuns(Permanent):
    """A host is no hypervisor for all that it says. Parameters: `detail`."""

    code = "no_guest_runs"


class Unauthorized(DriverError):
    """The credentials are refused, or lack a right: their owner can mend that. Parameters: `detail`."""

    code = "credentials_refused"


class PolicyRefused(Permanent):
    """A rule of the backend refuses it. Parameters: `detail`."""

    code = "policy_refused"


class BmcUnreachable(HostUnreachable):
    """A machine's BMC does not answer. Parameters: `detail`."""

    code = "bmc_unreachable"


class CertificateChanged(HostUnreachable):
    """A BMC shows another certificate than the pinned one. Parameters: `expected`, `seen` (SHA-256 of the certificate, hex)."""

    code = "bmc_certificate_changed"


class CertificateUntrusted(HostUnreachable):
    """A BMC's certificate can't be verified. Parameters: `seen` (its SHA-256, hex), `detail`."""

    code = "bmc_certificate_untrusted"


class PowerUnchanged(Timeout):
    """A power action didn't take. Parameters: `wanted`, `seen` (on, off, unknown), `seconds`."""

    code = "power_unchanged"


class BmcBusy(Transient):
    """A BMC takes no requests just now. Parameters: `detail`."""

    code = "bmc_busy"


class SystemUnknown(InvalidSpec):
    """A BMC has no such machine. Parameters: `system` (empty: none was named), `systems` (those that there are)."""

    code = "bmc_system_unknown"


class CipherRefused(InvalidSpec):
    """A BMC doesn't speak that IPMI cipher suite. Parameters: `suite`."""

    code = "ipmi_cipher_refused"


class PasswordRefused(Unauthorized):
    """A BMC refuses user name or password. Parameters: `detail`."""

    code = "bmc_password_refused"


class PowerRefused(Permanent):
    """A BMC refuses a power action. Parameters: `detail`."""

    code = "power_refused"


class DepotUnreachable(HostUnreachable):
    """The depot doesn't serve what a machine is to fetch there. Parameters: `detail`."""

    code = "depot_unreachable"


class SshUnreachable(HostUnreachable):
    """A machine doesn't answer by ssh as it should. Parameters: `address`, `detail`."""

    code = "ssh_unreachable"


class BootIgnored(Timeout):
    """A machine did not boot from where its BMC was told. Parameters: `source` (network, cd, disk), `detail`."""

    code = "boot_device_ignored"


class NoDhcpAnswer(Timeout):
    """A machine got no address by DHCP, or one that leads nowhere. Parameters: `detail`."""

    code = "no_dhcp_answer"


class RamdiskSilent(Timeout):
    """A ramdisk did not call back. Parameters: `seconds`, `detail`."""

    code = "ramdisk_silent"


class DeadlinePassed(Timeout):
    """A step took longer than it was given. Parameters: `step`, `seconds`."""

    code = "deadline_passed"


class WrongMachine(Permanent):
    """Another machine came up. Parameters: `expected`, `seen` (UUIDs of SMBIOS)."""

    code = "wrong_machine"


class ChecksumMismatch(Permanent):
    """Bytes are not what their digest says. Parameters: `detail`."""

    code = "checksum_mismatch"


class DiskTooSmall(Permanent):
    """The image doesn't fit. Parameters: `detail`."""

    code = "disk_too_small"


class WriteError(Permanent):
    """A disk can't be written. Parameters: `disk`, `detail`."""

    code = "write_error"


class ReadbackMismatch(Permanent):
    """A disk doesn't hold what was written. Parameters: `disk`, `detail`."""

    code = "readback_mismatch"


class WipeFailed(Permanent):
    """Disks could not be wiped. Parameters: `disks` (names with serial numbers), `detail`."""

    code = "wipe_failed"


class DepotClosed(Transient):
    """What machines start from can't be served to them. Parameters: `address`, `detail`."""

    code = "depot_closed"


class MachineTaken(Transient):
    """The machine is another instance's, or not clean yet. Parameters: `host`."""

    code = "machine_taken"


class MachineAtWork(Transient):
    """A playbook works on the machine, or is about to. Parameters: `host`."""

    code = "machine_at_work"


class MachineQuarantined(Permanent):
    """The machine could not be cleared. Parameters: `why` (a code), and those of that."""

    code = "machine_quarantined"
