"""What adopting says: (Chinese, English)."""

from __future__ import annotations

Pair = tuple[str, str]
_EXAMPLES = "\n\n\b\n  chutian endpoint adopt region --project hubei/health\n  chutian endpoint adopt region ID --project hubei/health"

COMMANDS: dict[str, Pair] = {
    "help.endpoint.adopt": (
        "列出接入点上不属于本系统的服务器；指定其 id 则接管为项目的实例（不影响其运行）" + _EXAMPLES,
        "List what an endpoint has that isn't ours; one whose id is given becomes an instance of a project, untouched" + _EXAMPLES,
    ),
    "help.instance.disown": (
        "交还接管的实例：清除标记并释放配额，其在原平台上继续运行",
        "Give an adopted instance back: its marks and its quota go, and it runs on where it is",
    ),
}

OPTIONS: dict[str, Pair] = {
    "opt.adopt-project": (
        "接管到此项目；列出时：说明其限额是否足够",
        "Whose it becomes; of a list: tell whether the project's limits would leave it.",
    ),
    "opt.adopt-name": ("实例名；默认取自原名", "The instance's name; by default after its own."),
}

COLUMNS: dict[str, Pair] = {
    "col.counts": ("计入配额", "COUNTS"),
    "col.fits": ("限额足够", "FITS"),
    "col.obstacle": ("障碍", "OBSTACLE"),
    "col.refusal": ("拒绝原因", "REFUSAL"),
    "col.group": ("归属", "WHOSE"),
    "col.adopted": ("接管自", "ADOPTED"),
    "col.disowned": ("已交还", "DISOWNED"),
}

MESSAGES: dict[str, Pair] = {
    "instance.adopted": ("{name}（{id}）已归 {project}，正在标记", "{name} ({id}) is {project}'s, and is being marked"),
    "message.adopt_project": ("请以 --project 指定接管到哪个项目。", "Say with --project whose it is to become."),
    "instance.disown": ("正在交还 {name}", "Giving {name} back"),
    "confirm.disown": (
        "交还 {what}：其配额将释放，所属项目将看不到它，原平台上继续运行。确定？",
        "Give {what} back? Its quota is free, its project sees it no more, and it runs on where it is",
    ),
}
