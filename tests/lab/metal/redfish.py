"""The Redfish BMC of one server: sushy-emulator, mended where it does not do what a real one does.

In: `python -m tests.lab.metal.redfish FOLDER`, where FOLDER/redfish.json has the settings; FOLDER/faults.json (`tests.lab.metal.faults`)
is read again at each request. Out: HTTPS with basic authentication at its address.

Mended: there is one system, with a serial number; `Once` holds for one start and is `Disabled` afterwards; `Disabled` and `None` go back
to the disk; a ResetType that is not known is refused, and PowerCycle works; a board that can start by UEFI says and takes boot modes, and
others none. sushy-tools has no setting for a driver of one's own, so ours is put where it looks for libvirt's. As upstream, a boot device
or a medium set while the server runs is seen from the next power-on, not by a warm restart.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import flask
from sushy_tools import error
from sushy_tools.emulator import constants
from sushy_tools.emulator import main as emulator
from sushy_tools.emulator.resources.systems import libvirtdriver

from tests.lab.metal import faults

RESETS = ("On", "ForceOn", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart", "Nmi", "PowerCycle")
OVMF = "/usr/share/OVMF"
STARTS = ("On", "ForceOn", "ForceRestart", "PowerCycle")


class Board(libvirtdriver.LibvirtDriver):  # type: ignore[misc]
    """The one server that this BMC is for."""

    folder: Path
    identity: str

    @property
    def systems(self) -> list[str]:
        return [self.identity]

    def set_power_state(self, identity: str, state: str) -> None:
        if state not in RESETS:
            raise error.BadRequest(f"unknown ResetType {state}")
        if faults.read(self.folder).get("power_ignored"):
            return
        was_on = self.get_power_state(identity) == "On"
        super().set_power_state(identity, _as_libvirt(state, was_on))
        starts = state in STARTS and (not was_on or state in ("ForceRestart", "PowerCycle"))
        if starts and self.override()["enabled"] == "Once":  # the firmware has read it
            self._keep({"enabled": "Disabled", "target": "None"})
            super().set_boot_device(identity, "Hdd")

    def set_boot_device(self, identity: str, boot_source: str) -> None:
        asked = (flask.request.get_json(silent=True) or {}).get("Boot")
        if asked is None:  # after a medium was changed: keep what is set
            super().set_boot_device(identity, boot_source)
            return
        enabled = asked.get("BootSourceOverrideEnabled", "Continuous")
        if enabled == "Disabled" or boot_source == "None":
            enabled, boot_source = "Disabled", "None"
        wrong = faults.read(self.folder)
        if not wrong.get("boot_ignored"):
            self._keep({"enabled": enabled, "target": boot_source})
        if not (wrong.get("boot_ignored") or wrong.get("boot_pretended")):
            super().set_boot_device(identity, "Hdd" if boot_source == "None" else boot_source)

    @property
    def modern(self) -> bool:
        """Whether its board can start by UEFI, too. Of one that can't, no boot mode is said, as by many an old BMC."""
        return "q35" in self._get_domain(self.identity, readonly=True).XMLDesc()

    @property
    def DEVICE_TARGET_MAP(self) -> dict[str, tuple[str, str]]:  # noqa: N802  # sushy-tools' name
        return {constants.DEVICE_TYPE_CD: ("sdc", "sata") if self.modern else ("hdc", "ide")}

    def get_boot_mode(self, identity: str) -> str | None:
        return super().get_boot_mode(identity) or "Legacy" if self.modern else None

    def set_boot_mode(self, identity: str, boot_mode: str) -> None:
        if not self.modern:
            raise error.BadRequest("this server has no boot mode")
        if boot_mode != self.get_boot_mode(identity) and not faults.read(self.folder).get("mode_ignored"):
            super().set_boot_mode(identity, boot_mode)

    def _build_os_element_fw_manualselection(self, boot_mode: str, secure: bool | None, os_element: ET.Element, loader_type: str) -> None:
        super()._build_os_element_fw_manualselection(boot_mode, secure, os_element, loader_type)
        for loader in os_element.findall("loader"):
            if not loader.text:  # libvirt takes none for BIOS, but no empty one
                os_element.remove(loader)

    def override(self) -> dict[str, str]:
        """The override in force, as Redfish says it."""
        path = self.folder / "override.json"
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {"enabled": "Disabled", "target": "None"}
        return kept

    def _keep(self, override: dict[str, str]) -> None:
        (self.folder / "override.json").write_text(json.dumps(override))


def _as_libvirt(state: str, was_on: bool) -> str:
    if state == "PowerCycle":
        return "ForceRestart" if was_on else "On"
    return state


def _configured(settings: dict[str, Any]) -> dict[str, Any]:
    disks = [_drive(number, disk) for number, disk in enumerate(settings["disks"])]
    controller = {"MemberId": "0", "Name": "virtio", "SpeedGbps": 12}
    storage = {"Id": "1", "Name": "virtio", "StorageControllers": [controller], "Drives": [disk["Id"] for disk in disks]}
    return {
        "SUSHY_EMULATOR_LIBVIRT_URI": "qemu:///system",
        "SUSHY_EMULATOR_STORAGE_POOL": "media",
        "SUSHY_EMULATOR_BOOT_LOADER_MAP": {"UEFI": {"x86_64": f"{OVMF}/OVMF_CODE_4M.fd"}, "Legacy": {"x86_64": None}},
        "SUSHY_EMULATOR_SECURE_BOOT_DISABLED_NVRAM": f"{OVMF}/OVMF_VARS_4M.fd",
        "SUSHY_EMULATOR_STATE_DIR": settings["folder"],
        "SUSHY_EMULATOR_AUTH_FILE": f"{settings['folder']}/htpasswd",
        "SUSHY_EMULATOR_ALLOWED_INSTANCES": [settings["uuid"]],
        "SUSHY_EMULATOR_STORAGE": {settings["uuid"]: [storage]},
        "SUSHY_EMULATOR_DRIVES": {(settings["uuid"], "1"): disks},
    }


def _drive(number: int, disk: dict[str, Any]) -> dict[str, Any]:
    return {
        "Id": f"disk{number}",
        "Name": f"disk{number}",
        "Model": "L1 disk",
        "Manufacturer": "Lab",
        "MediaType": "SSD",
        "Protocol": "SAS",
        "CapacityBytes": disk["bytes"],
        "SerialNumber": disk["serial"],
        "BlockSizeBytes": 512,
        "Revision": "1",
        "RotationSpeedRPM": 0,
        "FailurePredicted": False,
        "PredictedMediaLifeLeftPercent": 100,
        "EncryptionStatus": "Unencrypted",
        "CapableSpeedGbs": 12,
    }


def _hook(settings: dict[str, Any]) -> None:
    """Faults before each answer, what sushy-tools leaves out after it."""
    folder = Path(settings["folder"])

    def fail() -> flask.Response | None:
        wrong = faults.read(folder)
        time.sleep(wrong.get("delay_s", 0))
        if status := wrong.get("status"):
            body = {"error": {"code": "Base.1.0.GeneralError", "message": "the BMC is busy"}}
            return flask.Response(json.dumps(body), status, content_type="application/json")
        return None

    def complete(answer: flask.Response) -> flask.Response:
        if answer.status_code == 200 and flask.request.method == "GET" and flask.request.path.rstrip("/").endswith(settings["uuid"]):
            said = answer.get_json()
            if "#ComputerSystem.Reset" in said.get("Actions", {}):
                override = emulator.app.systems.override()
                said["Boot"] |= {"BootSourceOverrideEnabled": override["enabled"], "BootSourceOverrideTarget": override["target"]}
                said["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"].append("None")
                if emulator.app.systems.modern:
                    said["Boot"]["BootSourceOverrideMode@Redfish.AllowableValues"] = list(emulator.app.systems.BOOT_MODE_MAP)
                said["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"] = list(RESETS)
                said |= {"Manufacturer": "Lab", "Model": "L1", "SerialNumber": settings["serial"]}
                answer.set_data(json.dumps(said))
        elif (
            answer.status_code == 200 and "/Drives/" in flask.request.path
        ):  # where every drive has the serial number of the one in its template
            name = flask.request.path.rstrip("/").rpartition("/")[2]
            drive = next(disk for number, disk in enumerate(settings["disks"]) if name == f"disk{number}")
            answer.set_data(json.dumps({**answer.get_json(), "SerialNumber": drive["serial"], "Model": "L1 disk", "MediaType": "SSD"}))
        return answer

    emulator.app.before_request(fail)
    emulator.app.after_request(complete)


def main(folder: Path) -> None:
    settings = json.loads((folder / "redfish.json").read_text()) | {"folder": str(folder)}
    Board.folder, Board.identity = folder, settings["uuid"]
    libvirtdriver.LibvirtDriver = Board
    emulator.app.configure(extra_config=_configured(settings))
    _hook(settings)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    emulator.app.run(host=settings["address"], port=settings["port"], ssl_context=context)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
