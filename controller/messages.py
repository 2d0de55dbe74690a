"""Every sentence the controller says to people, in English and Chinese, by stable code.

Errors, reasons and events carry a code and parameters; the sentence is made here at the last moment, in the reader's language. A test holds
every code that the code base uses against this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LANGUAGES = ("en", "zh")

_RESOURCES = {
    "instances": ("instances", "实例数"),
    "vcpus": ("vCPUs", "vCPU"),
    "memory_mib": ("memory (MiB)", "内存（MiB）"),
    "disk_gib": ("disk (GiB)", "磁盘（GiB）"),
    "gpus": ("GPUs", "GPU"),
}

CATALOGUE: dict[str, tuple[str, str]] = {
    # errors of requests to the API
    "internal": (
        "Something went wrong inside the controller. It was logged; please try again.",
        "控制器内部出错，已记录日志，请稍后重试。",
    ),
    "invalid_request": ("The request is not valid: {detail}", "请求无效：{detail}"),
    "unauthenticated": (
        "A valid token is needed. Log in with 'chutian login', or ask an administrator for a token.",
        "需要有效的令牌。请执行 chutian login 登录，或向管理员申请令牌。",
    ),
    "needs_right": (
        "You may not do this on project {project} (it needs the right '{right}'). Ask its administrator.",
        "您在项目 {project} 上无权执行此操作（需要“{right}”权限），请联系项目管理员。",
    ),
    "needs_right_overall": (
        "This needs the right '{right}' on a whole tree of projects. Ask an administrator.",
        "此操作需要整棵项目树的“{right}”权限，请联系管理员。",
    ),
    "needs_right_above": (
        "The policy, level and limits of {project} are set from above: this needs the right '{right}' on its parent.",
        "{project} 的策略、等保级别与限额由上级设定：需要上级项目的“{right}”权限。",
    ),
    "bounds_looser": (
        "A policy may not allow more than the one that {project} is under. Ask whoever set that.",
        "策略不能比 {project} 所受的更宽松，请联系其设定者。",
    ),
    "priority_too_high": (
        "{project} may ask for '{most}' at most. Ask for less, or have an administrator above it raise that (--max-priority {priority}).",
        "{project} 最高可申请“{most}”优先级。请降低优先级，或请上级项目管理员调高（--max-priority {priority}）。",
    ),
    "may_not_preempt": (
        "{project} may not preempt. Ask without it, or have an administrator above it allow that (--may-preempt).",
        "{project} 不允许抢占。请去掉抢占选项，或请上级项目管理员开通（--may-preempt）。",
    ),
    "preempt_later": (
        "What starts later can't preempt: leave out the one or the other.",
        "预约开始时间的申请不能同时抢占，请去掉其中一项。",
    ),
    "preempt_undecided": (
        "Only what the policy of {project} approves at once may preempt, and this is more. Ask without it, or for less.",
        "只有 {project} 策略可自动批准的申请才能抢占，此申请超出其范围。请去掉抢占选项或减少申请量。",
    ),
    "preemption.would_do": ("Preemption would make room.", "抢占可以腾出空间。"),
    "preemption.of": (
        "Without {victims} preemptible instances of lower classes there would be room.",
        "抢占 {victims} 个较低优先级的实例即可腾出空间。",
    ),
    "waits_for_preempted": (
        "It waits until the instances that it preempted are gone.",
        "正在等待被抢占的实例全部退出。",
    ),
    "own_request": (
        "You asked for this yourself; another approver has to decide.",
        "这是您本人提交的申请，须由其他审批人决定。",
    ),
    "not_found": ("There is no such thing.", "没有找到。"),
    "route_not_found": ("There is nothing at this address; see /docs.", "该地址不存在，请参阅 /docs。"),
    "method_not_allowed": ("This address does not take {method}; see /docs.", "该地址不支持 {method}，请参阅 /docs。"),
    "project_not_found": ("There is no project '{project}'.", "没有项目“{project}”。"),
    "user_not_found": ("There is no user '{user}'.", "没有用户“{user}”。"),
    "token_not_found": ("There is no token '{token}'.", "没有令牌“{token}”。"),
    "role_not_found": ("{user} does not have the role {role} on {path}.", "{user} 在 {path} 上没有角色 {role}。"),
    "request_not_found": ("There is no request '{request}'.", "没有申请单“{request}”。"),
    "instance_not_found": ("There is no instance '{instance}'.", "没有实例“{instance}”。"),
    "flavor_not_found": ("There is no flavor '{name}'.", "没有规格“{name}”。"),
    "image_not_found": ("There is no image '{name}'.", "没有镜像“{name}”。"),
    "pool_not_found": ("There is no pool '{name}'.", "没有资源池“{name}”。"),
    "endpoint_not_found": ("There is no endpoint '{name}'.", "没有接入点“{name}”。"),
    "host_not_found": ("There is no host '{name}'.", "没有主机“{name}”。"),
    "project_exists": ("There is a project '{path}' already.", "项目“{path}”已存在。"),
    "user_exists": ("There is a user '{name}' already.", "用户“{name}”已存在。"),
    "flavor_exists": ("There is a flavor '{name}' already.", "规格“{name}”已存在。"),
    "image_exists": ("There is an image '{name}' already.", "镜像“{name}”已存在。"),
    "pool_exists": ("There is a pool '{name}' already.", "资源池“{name}”已存在。"),
    "endpoint_enrolled": ("This address is enrolled already, as endpoint '{name}'.", "该地址已作为接入点“{name}”接入。"),
    "machine_enrolled": (
        "Host '{name}' is on the same machine, which would count twice. If they really are two, give each libvirtd its own host_uuid.",
        "主机“{name}”就在同一台机器上，其容量会重复计算。若确为两台机器，请为各自的 libvirtd 设置不同的 host_uuid。",
    ),
    "endpoint_exists": ("There is an endpoint '{name}' already.", "接入点“{name}”已存在。"),
    "instance_exists": (
        "Project {project} has, or holds, an instance named '{name}' already. Choose another name.",
        "项目 {project} 中已有名为“{name}”的实例（或已为其预留），请换一个名称。",
    ),
    "already_exists": ("It exists already.", "已存在。"),
    "stale_generation": (
        "It has changed since you read it (you saw generation {seen}, it is now {now}). Read it again and decide anew.",
        "自您读取后它已被修改（您看到的版本为 {seen}，现为 {now}）。请重新读取后再操作。",
    ),
    "key_reused": (
        "The idempotency key '{key}' was used for another call. Use a new key.",
        "幂等键“{key}”已用于另一个请求，请使用新的键。",
    ),
    "not_a_label": (
        "'{name}' can't be a name: use 1 to 63 lower-case letters, digits and hyphens, not at either end a hyphen.",
        "“{name}”不能用作名称：请使用 1 至 63 个小写字母、数字或连字符，且首尾不能是连字符。",
    ),
    "unknown_flavor": (
        "Item {item}: there is no flavor '{flavor}'. See 'chutian flavor list'.",
        "第 {item} 项：没有规格“{flavor}”，请查看 chutian flavor list。",
    ),
    "unknown_image": (
        "Item {item}: there is no image '{image}'. See 'chutian image list'.",
        "第 {item} 项：没有镜像“{image}”，请查看 chutian image list。",
    ),
    "unknown_pool": ("Item {item}: there is no pool '{pool}'.", "第 {item} 项：没有资源池“{pool}”。"),
    "unknown_zone": ("Item {item}: there is no zone '{zone}'.", "第 {item} 项：没有可用区“{zone}”。"),
    "unknown_site": ("Item {item}: there is no site '{site}'.", "第 {item} 项：没有地点“{site}”。"),
    "bad_oci_image": (
        "{image} is no image of a registry; one looks like registry.example/name:tag.",
        "{image} 不是镜像仓库引用，应形如 registry.example/name:tag。",
    ),
    "flavor_kind": ("Item {item}: flavor {flavor} is for {kind} instances.", "第 {item} 项：规格 {flavor} 适用于 {kind} 类实例。"),
    "image_not_ready": (
        "Item {item}: image {image} is not ready (it is {state}).",
        "第 {item} 项：镜像 {image} 尚不可用（状态为 {state}）。",
    ),
    "arch_differs": (
        "Item {item}: image {image} is for {image_arch}, flavor {flavor} for {flavor_arch}.",
        "第 {item} 项：镜像 {image} 为 {image_arch} 架构，规格 {flavor} 为 {flavor_arch} 架构。",
    ),
    "flavor_disk_small": (
        "Item {item}: image {image} needs {need} GiB of disk, flavor {flavor} has {have}. Choose a larger flavor.",
        "第 {item} 项：镜像 {image} 需要 {need} GiB 磁盘，规格 {flavor} 只有 {have} GiB，请选择更大的规格。",
    ),
    "flavor_memory_small": (
        "Item {item}: image {image} needs {need} MiB of memory, flavor {flavor} has {have}. Choose a larger flavor.",
        "第 {item} 项：镜像 {image} 需要 {need} MiB 内存，规格 {flavor} 只有 {have} MiB，请选择更大的规格。",
    ),
    "quota_exceeded": (
        "{project} would go over its limit of {resource} (asked: {asked}).",
        "{project} 的{resource}将超出限额（申请量：{asked}）。",
    ),
    "no_capacity": ("No host can take this now ({hosts} looked at).", "目前没有主机能够容纳（已检查 {hosts} 台）。"),
    "no_room_to_grow": ("Its host has no room for the larger size ({resources}).", "所在主机没有足够的余量（{resources}）。"),
    "approval_required": (
        "Project {project} does not let this be decided at once. Hand it in as a request: 'chutian request create'.",
        "项目 {project} 的策略不允许立即批准，请提交申请单：chutian request create。",
    ),
    "reason_needed": ("A refusal needs a reason: tell the applicant what to change.", "驳回必须说明理由，请告诉申请人需要修改什么。"),
    "request_decided": ("The request is {state} already.", "该申请单已是“{state}”状态。"),
    "limit_below_usage": (
        "{path} uses {used} and holds {held} of {resource}: the limit can't be {limit}. Free some first.",
        "{path} 已使用 {used}、预留 {held}（{resource}），限额不能设为 {limit}，请先释放资源。",
    ),
    "project_occupied": (
        "{path} can't be removed: it has {projects} projects below it, {instances} instances and {requests} requests on record.",
        "不能删除 {path}：其下有 {projects} 个子项目，记录中有 {instances} 个实例、{requests} 份申请单。",
    ),
    "instance_going": ("{name} is being deleted.", "{name} 正在删除。"),
    "instance_protected": (
        "{name} is protected. Take the protection away first: 'chutian instance unprotect'.",
        "{name} 受保护，请先解除保护：chutian instance unprotect。",
    ),
    "instance_not_begun": (
        "{name} has not begun yet: until then it can only be protected, extended or deleted.",
        "{name} 尚未开始，在此之前只能启用保护、延期或删除。",
    ),
    "no_term": ("{name} has no term that could be extended.", "{name} 没有设定期限，无需延期。"),
    "place_promised": (
        "{name} is given back at the end of its term, and its place is promised from then on: it can't be resized, protected or extended.",
        "{name} 将在到期时释放，其位置已承诺给后续申请，因此不能再调整规格、启用保护或延期。",
    ),
    "ends_without_term": (
        "What is to be given back at the end of its term needs a term (term_days).",
        "选择到期释放时必须填写期限（term_days）。",
    ),
    "starts_too_late": ("It can start at most {days} days from now.", "开始时间最多可在 {days} 天之内。"),
    "starts_in_past": ("Its start lies in the past. Leave it out to start at once.", "开始时间已过，如需立即开始请不要填写。"),
    "reboot_stopped": ("{name} is to be stopped; start it instead.", "{name} 应处于停止状态，请改用启动。"),
    "unknown_baseline": (
        "There is no CPU baseline '{baseline}' for the architecture {arch}; there are: {there}.",
        "架构 {arch} 没有 CPU 基线“{baseline}”，可选：{there}。",
    ),
    "numa_too_many": (
        "{vcpus} vCPUs can't be in {numa_nodes} NUMA nodes: each needs one at least.",
        "{vcpus} 个 vCPU 不能分布到 {numa_nodes} 个 NUMA 节点：每个节点至少一个 vCPU。",
    ),
    "gpu_fields_alone": (
        "A GPU model or a share is asked for, and no GPU: say gpus as well.",
        "指定了 GPU 型号或份额，但 GPU 数为 0：请同时指定 gpus。",
    ),
    "gpu_share_of_one": (
        "{gpu_milli} thousandths of each of {gpus} GPUs can't be had: a share is of one GPU (gpus 1).",
        "不能申请 {gpus} 个 GPU 各 {gpu_milli}‰：份额只能取自一个 GPU（gpus 为 1）。",
    ),
    "disk_shrinks": ("A disk can't shrink: it has {have} GiB, the flavor {want}.", "磁盘不能缩小：现为 {have} GiB，规格为 {want} GiB。"),
    "image_in_use": (
        "Image {name} is on record for {uses} instances or requests and stays.",
        "镜像 {name} 被 {uses} 个实例或申请单引用，不能删除。",
    ),
    "image_has_content": ("Image {name} is {state}: its content can't be given again.", "镜像 {name} 的状态为 {state}，不能再次上传内容。"),
    "plan_of_what": (
        "A plan to {kind} needs: drain a host; all others a pool; defragment and preempt a flavor, too.",
        "规划（{kind}）缺少对象：drain 需要主机；其余需要资源池；defragment 和 preempt 还需要规格。",
    ),
    "plan.drain": ("{count} moves empty {what}.", "迁移 {count} 次即可腾空 {what}。"),
    "plan.consolidate": ("{count} moves empty {benefit} hosts of {what}.", "迁移 {count} 次即可腾空 {what} 的 {benefit} 台主机。"),
    "plan.rebalance": (
        "{count} moves level {what}: the fullest host goes from {peak} % to {then} %.",
        "迁移 {count} 次使 {what} 更均衡：最满的主机由 {peak}% 降到 {then}%。",
    ),
    "plan.defragment": ("{count} moves make room for {benefit} more in {what}.", "迁移 {count} 次可在 {what} 多放 {benefit} 个。"),
    "plan.preempt": (
        "Without {victims} preemptible instances there is room for {places} more in {what}.",
        "删除 {victims} 个可抢占实例即可在 {what} 再放 {places} 个。",
    ),
    "plan.fits": (
        "There is room for {places} more in {what} as it is; nobody need make way.",
        "{what} 现在就能再放 {places} 个，无需抢占。",
    ),
    "plan.no_room": (
        "There is no room in {what}, even without all that may be preempted for that class.",
        "即使抢占该优先级可抢占的全部实例，{what} 也没有空间。",
    ),
    "plan.nothing_to_move": ("Nothing is there to be moved.", "没有需要迁移的实例。"),
    "plan.no_beneficial_move": ("No move is worth its while.", "没有值得做的迁移。"),
    "plan.unsolvable": (
        "{unsolvable} instances find no other place; nothing should be begun.",
        "有 {unsolvable} 个实例无处可去，不应开始。",
    ),
    "plan.not_resilient": (
        "{what} could not lose so many hosts and restart what they run, so nothing is proposed.",
        "{what} 无法在失去这么多主机后重启其实例，因此不提出迁移。",
    ),
    "would_misplace": (
        "{name}: with that, {count} or more instances or holds may not be where they are, {first} the first; move or delete them first.",
        "{name}：修改后将有至少 {count} 个实例或预留处于不允许的位置（如 {first}），请先迁移或删除。",
    ),
    "pool_in_use": ("Pool {name} has endpoints or hosts.", "资源池 {name} 中仍有接入点或主机。"),
    "pool_too_full": (
        "Host {host} of pool {name} holds more {resources} than that would allow.",
        "资源池 {name} 的主机 {host} 已占用的 {resources} 超出修改后的容量。",
    ),
    "endpoint_has_hosts": ("Endpoint {name} has {count} hosts that are not retired.", "接入点 {name} 仍有 {count} 台未退役的主机。"),
    "endpoint_refused": ("The endpoint can't be enrolled: {detail}", "无法接入：{detail}"),
    "driver_without_rights": (
        "Driver {driver} needs no rights of its own. These do: {drivers}.",
        "驱动 {driver} 无需单独授权；需要授权的有：{drivers}。",
    ),
    "unknown_driver": ("There is no driver '{driver}'; there are: {drivers}.", "没有驱动“{driver}”，可用的驱动：{drivers}。"),
    "host_occupied": (
        "{count} instances are on, or held on, {name}. Move or delete them first.",
        "{name} 上有 {count} 个实例（或预留），请先迁移或删除。",
    ),
    "power_is_seen": (
        "The driver of {name} sees that it is {power}. What an operator says counts where nobody sees it: once it is off and silent.",
        "{name} 的驱动已观测到电源状态为 {power}。只有观测不到时（例如关机失联后）才采用人工填写的状态。",
    ),
    "host_off": ("Its host is switched off.", "所在主机已关机。"),
    "host_to_wake": (
        "It is off, and {count} instances wait for it: somebody has to switch it on.",
        "主机已关机，有 {count} 个实例在等待，请人工开机。",
    ),
    "host_retired": ("{name} is retired.", "{name} 已退役。"),
    "host_not_up": ("Host {name} is not up, so nothing can be moved off it.", "主机 {name} 不在线，无法清空。"),
    "no_log": (
        "The output of instances of this kind can't be followed; look at their console.",
        "此类实例的输出不能持续跟踪，请查看控制台日志。",
    ),
    "no_exec": ("No command can be run in instances of this kind.", "此类实例不能执行命令。"),
    "drain_impossible": (
        "{count} of what host {name} runs can't be started elsewhere; nothing has changed. The details say which and why.",
        "主机 {name} 上有 {count} 个实例无法在别处启动，未作任何更改。详情列出了实例及原因。",
    ),
    "no_console": ("Instances of this kind have no console log.", "此类实例没有控制台日志。"),
    "body_too_large": ("The body is larger than {limit} bytes.", "请求体超过 {limit} 字节。"),
    "body_not_json": ("The body is not JSON: {detail}", "请求体不是有效的 JSON：{detail}"),
    "length_needed": ("Say how long the content is (Content-Length).", "请提供 Content-Length。"),
    "bad_cursor": ("The cursor is not one of ours. Begin without one.", "游标无效，请不带游标重新开始。"),
    "bad_if_match": ("If-Match takes a generation in quotes, as ETag gave it.", "If-Match 应为带引号的版本号，与 ETag 一致。"),
    "bad_key": ("An Idempotency-Key has 1 to 128 visible ASCII characters.", "Idempotency-Key 应为 1 至 128 个可见 ASCII 字符。"),
    # the controller can't answer
    "unavailable": ("The controller can't answer now. Try again.", "控制器暂时无法响应，请重试。"),
    "database_unavailable": (
        "The controller can't reach its database now. Try again; nothing was lost.",
        "控制器暂时无法访问数据库，请重试，数据没有丢失。",
    ),
    "admission_slow": (
        "No decision came in time. Ask again with the same Idempotency-Key to learn what became of it.",
        "未能及时得到结果。请使用相同的 Idempotency-Key 再次请求以获知结果。",
    ),
    "fleet_restless": ("The fleet changes too fast to decide. Try again.", "资源变化过快，请重试。"),
    "schema_old": (
        "The database's schema ({have}) is older than this controller's ({want}). Run: chutian migrate",
        "数据库结构（{have}）旧于控制器所需（{want}）。请执行：chutian migrate",
    ),
    "schema_unknown": (
        "The database's schema ({have}) is newer than this controller knows ({want}). Run a newer controller.",
        "数据库结构（{have}）新于控制器所知（{want}）。请使用更新版本的控制器。",
    ),
    "seal_keys_unreadable": (
        "{path} is not a file of keys (NAME and 32 hexadecimal digits on each line). Restore it from its backup.",
        "{path} 不是密钥文件（每行为名称与 32 位十六进制数）。请从备份恢复。",
    ),
    "seal_keys_others": (
        "The database was sealed with other keys: {detail}. Restore the key file that belongs to it, or share the first controller's.",
        "数据库由其他密钥密封：{detail}。请恢复与之对应的密钥文件，或使用首个控制器的密钥文件。",
    ),
    "postgres_start_failed": ("The embedded PostgreSQL did not start: {detail}", "内置 PostgreSQL 启动失败：{detail}"),
    "data_dir_too_long": (
        "data_dir is too long for a socket's path: at most {longest} characters.",
        "data_dir 路径过长，最多 {longest} 个字符。",
    ),
    # reasons given by drivers and the reconciler
    "driver_error": ("The driver failed unexpectedly: {detail}", "驱动意外出错：{detail}"),
    "backend_busy": ("The backend could not do it this time; it is tried again: {detail}", "后端此次未能完成，正在重试：{detail}"),
    "host_unreachable": ("The host does not answer: {detail}", "主机没有响应：{detail}"),
    "backend_timeout": ("The backend did not answer in time: {detail}", "后端响应超时：{detail}"),
    "backend_refused": ("The backend refused: {detail}", "后端拒绝：{detail}"),
    "invalid_spec": ("The backend can't take this specification: {detail}", "后端无法接受该规格：{detail}"),
    "image_corrupt": (
        "Image {image} must not boot, its {algorithm} digest is not the one on record: {where}",
        "镜像 {image} 的 {algorithm} 摘要与记录不符，禁止启动：{where}",
    ),
    "image_missing": ("The bytes of image {image} are missing from the controller's store.", "控制器中缺少镜像 {image} 的文件。"),
    "disk_missing": (
        "The root disk is gone from the host; it is not replaced by an empty one. Restore it, or rebuild the instance.",
        "主机上的系统盘已丢失；不会以空盘替代。请恢复磁盘，或重建实例。",
    ),
    "user_data_sealed": (
        "The user data can't be opened: {detail}. Put the key back into the controller's key file, then start or rebuild the instance.",
        "无法解开用户数据：{detail}。请将密钥放回控制器的密钥文件，再启动或重建实例。",
    ),
    "not_supported": ("The backend can't do that: {detail}", "后端不支持：{detail}"),
    "tenant_unsettled": (
        "The backend has to be told of the project's share first: {detail}",
        "需先在后端登记本项目的资源份额：{detail}",
    ),
    "eviction_held": (
        "A disruption budget allows nobody to be taken away just now; it is tried again: {detail}",
        "中断预算暂不允许驱逐，正在重试：{detail}",
    ),
    "not_running": ("Nothing runs there just now: {detail}", "当前没有可操作的运行实例：{detail}"),
    "credentials_refused": (
        "The backend refuses the controller's credentials: {detail} Give the endpoint new ones.",
        "后端拒绝了控制器的凭据：{detail} 请更新接入点凭据。",
    ),
    "credentials_sealed": (
        "The endpoint's credentials can't be opened: {detail}. Put the key back into the controller's key file, or give it new ones.",
        "无法解开接入点凭据：{detail}。请将密钥放回控制器的密钥文件，或更新凭据。",
    ),
    "host_fenced": (
        "The host it was on is lost; it is started on another as soon as one is found.",
        "所在主机已失效，找到可用主机后立即启动。",
    ),
    "no_room_to_evacuate": (
        "The host it was on is lost, and no other has room. Its quota is kept, and it is tried again; ask the operators for room.",
        "所在主机已失效，其他主机暂无空位。配额保留并持续重试，请联系运维增加容量。",
    ),
    "policy_refused": ("A rule of the backend refuses it: {detail}", "后端策略拒绝：{detail}"),
    "guest_crashed": ("The guest crashed.", "客户机崩溃。"),
    "guest_asleep": ("The guest suspended itself.", "客户机自行进入了挂起状态。"),
    "guest_paused": ("The guest was paused on its host.", "客户机在主机上被暂停。"),
    "guest_hung": ("The guest hangs: its watchdog fired.", "客户机无响应，看门狗已触发。"),
    "disk_error": ("The host can't read or write the guest's disk.", "主机无法读写客户机磁盘。"),
    "disk_full": ("The host's storage is full; the guest was halted.", "主机存储空间已满，客户机已被暂停。"),
    "start_failed": ("The hypervisor could not start the guest.", "虚拟化层无法启动客户机。"),
    "host_lost_guest": ("The hypervisor lost the guest.", "虚拟化层丢失了客户机。"),
    "migration_failed": ("A migration of the guest failed half-way.", "客户机迁移中途失败。"),
    "host_silent": (
        "Its host does not answer, so whether it runs is unknown: {node} {detail} It can start elsewhere once that host is certainly off.",
        "所在主机没有响应，运行状态未知：{node} {detail} 在确认主机已关闭之前不会在别处启动。",
    ),
    "host_refused": (
        "Its host would not take it ({cause}): {detail} Start it again; if that is refused too, ask an operator.",
        "所在主机拒绝接收（{cause}）：{detail} 请重新启动；若仍被拒绝，请联系运维人员。",
    ),
    "host_shut_down": (
        "Its host was shut down: {detail} Start it again.",
        "所在主机已关机：{detail} 请重新启动该实例。",
    ),
    "node_cordoned": (
        "The cluster's own people want nothing new on it (cordoned). They free it with 'kubectl uncordon'.",
        "集群管理员已停止在该节点调度新任务（cordon）；可由其执行 kubectl uncordon 恢复。",
    ),
    "node_tainted": (
        "The cluster's own people want nothing new on it (taints: {taints}).",
        "集群管理员不允许在该节点放置新任务（污点：{taints}）。",
    ),
    "unschedulable": (
        "The cluster's scheduler finds no place for it; it is tried again: {detail}",
        "集群调度器未找到可用位置，正在重试：{detail}",
    ),
    "image_pull_failed": (
        "Its image {reference} can't be fetched: {detail} Check its name, and that the registry may be reached; it is tried again.",
        "无法拉取镜像 {reference}：{detail} 请核对镜像名称并确认镜像仓库可访问；系统会继续重试。",
    ),
    "image_absent": (
        "Its image {reference} is not on the host, and may not be fetched. Ask an operator to bring it there.",
        "主机上没有镜像 {reference}，且不允许拉取；请联系运维人员导入。",
    ),
    "image_name_invalid": (
        "{reference} can't be an image's name. Correct it and ask anew.",
        "{reference} 不是有效的镜像名称，请更正后重新申请。",
    ),
    "image_unreadable": (
        "The host can't read the image {reference}: {detail} Build or push it once more, then start again.",
        "主机无法读取镜像 {reference}：{detail} 请重新构建或推送镜像后再启动。",
    ),
    "command_not_started": (
        "Its command can't be started: {detail} Check that the image has it, then ask anew.",
        "命令无法启动：{detail} 请确认镜像中存在该命令，更正后重新申请。",
    ),
    "container_config_wrong": (
        "The host can't set it up as asked: {detail} An image that runs as root, for instance, is not allowed.",
        "主机无法按要求配置容器：{detail} 例如，不允许以 root 身份运行的镜像。",
    ),
    "container_not_created": (
        "The host can't make the container: {detail} Start it again; if that fails too, ask an operator.",
        "主机无法创建容器：{detail} 请重新启动；若仍失败，请联系运维人员。",
    ),
    "container_out_of_memory": (
        "It used more memory than its flavor has and was ended. Choose a larger flavor, or let it use less.",
        "内存用量超出规格，已被终止。请选择更大的规格或降低内存用量。",
    ),
    "container_evicted": (
        "Its host took it away, mostly for more disk used than its flavor has: {detail} Choose a larger flavor, or start it again.",
        "已被主机驱逐（多因磁盘用量超出规格）：{detail} 请选择更大的规格，或重新启动。",
    ),
    "container_deadline": (
        "It ran for longer than it was given: {detail} Start it again.",
        "运行时间超出限定：{detail} 请重新启动。",
    ),
    "container_exited": (
        "It ended with exit code {code}. Its log says why: 'chutian instance logs'.",
        "已退出，退出码 {code}。原因请查看日志：chutian instance logs。",
    ),
    "container_crashes": (
        "It crashes again and again (exit code {code}, {restarts} restarts). Its log says why: 'chutian instance logs'.",
        "反复崩溃（退出码 {code}，已重启 {restarts} 次）。原因请查看日志：chutian instance logs。",
    ),
    "container_unready": (
        "It runs, but its own check says that it is not ready.",
        "正在运行，但就绪检查尚未通过。",
    ),
    "secret_missing": (
        "Its secrets are gone from the cluster, by nobody's asking; they are being given again.",
        "集群中的密钥数据被移除（非本系统操作），正在重新下发。",
    ),
    "pool_missing": ("The host's storage pool is missing.", "主机缺少存储池。"),
    "starts_later": ("It begins at {at}.", "将于 {at} 开始。"),
    "waiting_for_room": (
        "It waits until the place that it was promised is free, and begins by itself then.",
        "正在等待所承诺的位置空出，届时将自动开始。",
    ),
    "kept_past_term": (
        "Its term is over. It stays because it is protected, and goes as soon as it no longer is; extend it to keep it.",
        "已到期，因受保护而保留；解除保护后将立即释放。如需继续使用，请延期。",
    ),
    "deadline_passed": ("It was not done within {seconds} seconds.", "未能在 {seconds} 秒内完成。"),
    "gpu_models_mixed": (
        "This host has GPUs of several models; only those of model '{model}' are given out.",
        "此主机有多种型号的 GPU，仅分配型号“{model}”。",
    ),
    "kvm_unavailable": (
        "KVM does not work on this host; guests run under software emulation, many times slower. {detail}",
        "此主机无法使用 KVM，客户机以软件模拟运行，速度慢很多。{detail}",
    ),
    "digest_differs": (
        "The content's {algorithm} digest is {actual}, not {expected} as given.",
        "内容的 {algorithm} 摘要为 {actual}，与给定的 {expected} 不符。",
    ),
    "cut_short": (
        "The image is cut short: its tables point behind its {size} bytes. Fetch or copy it once more.",
        "镜像不完整：其映射表指向 {size} 字节之后，请重新获取或复制。",
    ),
    "size_differs": ("{received} bytes came, not {expected} as announced.", "收到 {received} 字节，与声明的 {expected} 字节不符。"),
    "not_an_image": ("The content is not a {format} image: {detail}", "内容不是 {format} 镜像：{detail}"),
    "image_too_large": ("The content is larger than {limit} bytes.", "内容超过 {limit} 字节。"),
    "download_failed": ("The download failed: {detail}", "下载失败：{detail}"),
    "store_full": ("The controller's image store is full.", "控制器的镜像存储空间已满。"),
    # events
    "project.created": ("Project {name} was created.", "创建了项目 {name}。"),
    "project.changed": ("Project {name} was changed ({fields}).", "修改了项目 {name}（{fields}）。"),
    "project.deleted": ("Project {name} was removed.", "删除了项目 {name}。"),
    "limit.set": (
        "The limit of {resource} ({of_kind}) of {name} was set to {amount}.",
        "{name} 的{resource}（{of_kind}）限额设为 {amount}。",
    ),
    "limit.removed": (
        "The limit of {resource} ({of_kind}) of {name} was taken away.",
        "取消了 {name} 的{resource}（{of_kind}）限额。",
    ),
    "role.granted": ("{name} became {role} on {path}.", "授予 {name} 在 {path} 上的 {role} 角色。"),
    "role.revoked": ("{name} is no longer {role} on {path}.", "收回 {name} 在 {path} 上的 {role} 角色。"),
    "user.created": ("User {name} was created.", "创建了用户 {name}。"),
    "user.disabled": ("User {name} was disabled.", "停用了用户 {name}。"),
    "user.enabled": ("User {name} was enabled.", "启用了用户 {name}。"),
    "token.issued": ("A token '{token}' was issued to {name} for {days} days.", "为 {name} 签发了令牌“{token}”，有效期 {days} 天。"),
    "token.revoked": ("The token '{token}' was revoked.", "吊销了令牌“{token}”。"),
    "flavor.created": ("Flavor {name} was created.", "创建了规格 {name}。"),
    "flavor.deleted": ("Flavor {name} was removed.", "删除了规格 {name}。"),
    "image.created": ("Image {name} was entered.", "登记了镜像 {name}。"),
    "image.deleted": ("Image {name} was removed.", "删除了镜像 {name}。"),
    "image.ready": ("Image {name} is ready; sha256 {sha256}.", "镜像 {name} 可用；sha256 为 {sha256}。"),
    "image.failed": ("Importing image {name} failed. {why}", "镜像 {name} 导入失败。{why}"),
    "pool.created": ("Pool {name} was created.", "创建了资源池 {name}。"),
    "pool.changed": ("Pool {name} was changed ({fields}).", "修改了资源池 {name}（{fields}）。"),
    "pool.deleted": ("Pool {name} was removed.", "删除了资源池 {name}。"),
    "endpoint.enrolled": ("Endpoint {name} was enrolled with {hosts} hosts.", "接入点 {name} 已接入，共 {hosts} 台主机。"),
    "endpoint.changed": ("Endpoint {name} is reached otherwise from now on.", "接入点 {name} 的连接方式已更改。"),
    "endpoint.forgotten": ("Endpoint {name} was let go.", "移除了接入点 {name}。"),
    "endpoint.connected": ("Endpoint {name} answers again.", "接入点 {name} 恢复响应。"),
    "endpoint.unreachable": ("Endpoint {name} does not answer. {why}", "接入点 {name} 没有响应。{why}"),
    "endpoint.orphan_found": (
        "Endpoint {name} has something with our mark that is not on record: {instance}. It was left alone.",
        "接入点 {name} 上发现带有本系统标记但无记录的对象：{instance}，未作处理。",
    ),
    "host.enrolled": ("Host {name} was enrolled.", "主机 {name} 已纳管。"),
    "host.changed": ("Host {name} has other facts than before.", "主机 {name} 的配置信息有变化。"),
    "host.reachable": ("Host {name} answers again.", "主机 {name} 恢复响应。"),
    "host.fenced": (
        "Host {name} is certain to run nothing any more; what was on it ({instances}) is started elsewhere where it can be.",
        "已确认主机 {name} 不再运行任何实例；其上 {instances} 个实例将尽可能在别处启动。",
    ),
    "host.draining": (
        "Host {name} is being emptied: what it runs is started elsewhere.",
        "主机 {name} 正在清空：其上的实例将在别处启动。",
    ),
    "host.unreachable": (
        "Host {name} does not answer; its {instances} instances are unknown. Nothing is started elsewhere.",
        "主机 {name} 没有响应，其上 {instances} 个实例状态未知，不会在别处启动。",
    ),
    "host.labelled": ("{name}: rack, dedication, power or idle draw was changed.", "{name} 的机架、专属、电源或空载功耗设置已修改。"),
    "host.cordoned": ("Host {name} takes no new instances.", "主机 {name} 停止接收新实例。"),
    "host.uncordoned": ("Host {name} takes new instances again.", "主机 {name} 恢复接收新实例。"),
    "host.retired": ("Host {name} was retired.", "主机 {name} 已退役。"),
    "request.submitted": (
        "A request of {name} for {count} instances waits for approval; quota and capacity are held for it.",
        "{name} 提交了 {count} 个实例的申请，等待审批；配额与容量已预留。",
    ),
    "request.approved_by_policy": (
        "A request of {name} for {count} instances was approved by the project's policy.",
        "{name} 的 {count} 个实例申请已按项目策略自动批准。",
    ),
    "request.approved": ("The request of {name} was approved. {reason}", "{name} 的申请已批准。{reason}"),
    "request.refused": ("The request of {name} was refused: {reason}", "{name} 的申请被驳回：{reason}"),
    "request.cancelled": ("The request of {name} was taken back.", "{name} 的申请已撤回。"),
    "request.expired": (
        "The request of {name} was not decided in time; what it held is free again.",
        "{name} 的申请逾期未决，预留的资源已释放。",
    ),
    "instance.accepted": ("{name} ({flavor}) was accepted and placed.", "{name}（{flavor}）已受理并完成调度。"),
    "instance.active": ("{name} is active.", "{name} 已运行。"),
    "instance.stopped": ("{name} is stopped.", "{name} 已停止。"),
    "instance.finished": ("{name} came to its end.", "{name} 已运行结束。"),
    "instance.deleted": ("{name} is gone.", "{name} 已删除。"),
    "instance.failed": ("{name} is in error. {why}", "{name} 出错。{why}"),
    "instance.retrying": ("{name}: a step failed and is tried again. {why}", "{name}：某一步骤失败，正在重试。{why}"),
    "instance.overdue": (
        "{name} is overdue: it is {state}, it should be {goal}. {why}",
        "{name} 超期未完成：当前 {state}，目标 {goal}。{why}",
    ),
    "instance.vanished": (
        "{name} was gone from its host, by nobody's asking; it is being defined again from its disk.",
        "{name} 在主机上被人移除（非本系统操作），正在从其磁盘恢复定义。",
    ),
    "instance.stopped_by_other": (
        "{name} was stopped, by nobody's asking; it is being started again.",
        "{name} 被停止（非本系统操作），正在重新启动。",
    ),
    "instance.started_by_other": (
        "{name} was started, by nobody's asking; it is being stopped again.",
        "{name} 被启动（非本系统操作），正在重新停止。",
    ),
    "instance.altered_by_other": (
        "{name} runs, but its definition was changed or removed on its host, by nobody's asking; it is being written again.",
        "{name} 仍在运行，但其定义在主机上被人更改或移除（非本系统操作），正在重新写入。",
    ),
    "instance.exec_asked": ("A command was run in {name}: {command}", "在 {name} 中执行了命令：{command}"),
    "instance.evacuated": (
        "The host of {name} is lost; {name} is started on another. Nothing is counted twice.",
        "{name} 所在主机已失效，正在另一主机上启动；配额不重复计算。",
    ),
    "instance.moved": ("{name} is moved off its host, which is being emptied.", "{name} 所在主机正在清空，实例迁往其他主机。"),
    "instance.mended": ("{name} is as it should be again.", "{name} 已恢复正常。"),
    "instance.leftover_removed": (
        "A leftover of {name}, which was deleted, was removed from {endpoint}.",
        "已从 {endpoint} 清除已删除实例 {name} 的残留。",
    ),
    "instance.seen_elsewhere": (
        "{name} was seen on {endpoint}, where it should not be. It was left alone; look at it.",
        "在不应出现的 {endpoint} 上发现 {name}，未作处理，请检查。",
    ),
    "instance.start_asked": ("Starting {name} was asked for.", "请求启动 {name}。"),
    "instance.stop_asked": ("Stopping {name} was asked for.", "请求停止 {name}。"),
    "instance.reboot_asked": ("Rebooting {name} was asked for.", "请求重启 {name}。"),
    "instance.rebuild_asked": ("Rebuilding {name} from image {image} was asked for.", "请求以镜像 {image} 重建 {name}。"),
    "instance.resize_asked": ("Resizing {name} to {flavor} was asked for.", "请求将 {name} 调整为规格 {flavor}。"),
    "instance.delete_asked": ("Deleting {name} was asked for.", "请求删除 {name}。"),
    "instance.preempted": (
        "{name} was preempted: a request of class '{priority}' needs its place. It is deleted, with its disk.",
        "{name} 被抢占：优先级为“{priority}”的申请需要其位置。该实例及其磁盘将被删除。",
    ),
    "instance.term_ends": (
        "{name} is given back on {at}, at the end of its term. Extend it if it is needed for longer: 'chutian instance extend'.",
        "{name} 将于 {at} 到期释放；如需继续使用，请延期：chutian instance extend。",
    ),
    "instance.term_ended": (
        "The term of {name} ended on {at}; it is being deleted, as was asked for with it.",
        "{name} 已于 {at} 到期，按申请约定正在释放（删除）。",
    ),
    "instance.term_kept": (
        "The term of {name} ended on {at}; it stays because it is protected, and goes as soon as it no longer is. Extend it to keep it.",
        "{name} 已于 {at} 到期，因受保护而保留；解除保护后将立即释放。如需继续使用，请延期。",
    ),
    "instance.extended": ("The term of {name} was extended by {days} days.", "{name} 的期限延长了 {days} 天。"),
    "instance.waiting_for_room": (
        "{name} should have begun, and waits until the place that it was promised is free. It begins by itself then.",
        "{name} 应已开始，正在等待所承诺的位置空出，届时将自动开始。",
    ),
    "instance.protected": ("{name} is protected from deletion.", "{name} 已启用删除保护。"),
    "instance.unprotected": ("{name} is no longer protected from deletion.", "{name} 已解除删除保护。"),
    # rules of the scheduler, and changes that would fit
    "rule.kind": ("do not run this kind", "不支持此类实例"),
    "rule.up": ("do not answer, or are retired", "没有响应或已退役"),
    "rule.off": ("are switched off, and their pool doesn't wake hosts", "已关机，且资源池不唤醒主机"),
    "rule.cordon": ("take no new instances", "停止接收新实例"),
    "rule.pool": ("are in another pool", "不在所需资源池"),
    "rule.spare_hosts": ("are needed to restart what other hosts of the pool run, if those fail", "须留作资源池内其他主机故障时的重启空间"),
    "rule.movable": ("are out of the question: it must not be moved", "不可选：该实例不允许迁移"),
    "rule.live": ("are out of the question: its own host does not answer", "不可选：其所在主机没有响应"),
    "rule.level": ("are in a pool with a lower protection level", "所在资源池的等保级别不够"),
    "rule.dedicated": ("are dedicated to others, or to nobody", "不是本单位的专属主机"),
    "rule.site": ("are at another site", "不在所需地点"),
    "rule.zone": ("are in another zone", "不在所需可用区"),
    "rule.arch": ("have another architecture", "架构不符"),
    "rule.baseline": ("can't promise the CPU baseline", "CPU 基线不符"),
    "rule.gpu_model": ("have another GPU model", "GPU 型号不符"),
    "rule.gpu_share": ("give out whole GPUs alone", "仅整卡分配 GPU"),
    "rule.traits": ("lack a trait", "缺少所需特性"),
    "rule.host": ("are not the host asked for", "不是指定主机"),
    "rule.vcpus": ("have too few free vCPUs", "空闲 vCPU 不足"),
    "rule.memory_mib": ("have too little free memory", "空闲内存不足"),
    "rule.disk_gib": ("have too little free disk", "空闲磁盘不足"),
    "rule.gpus": ("have too few free GPUs", "空闲 GPU 不足"),
    "rule.cells": ("have too little room in one NUMA cell", "单个 NUMA 节点空间不足"),
    "rule.affinity": ("are away from the instances it must be with", "不能满足亲和规则"),
    "rule.anti_affinity": ("already hold an instance it must be apart from", "不能满足反亲和规则"),
    "change.fewer_vcpus": ("{vcpus} vCPUs would fit", "改为 {vcpus} 个 vCPU 即可"),
    "change.less_memory_mib": ("{memory_mib} MiB of memory would fit", "改为 {memory_mib} MiB 内存即可"),
    "change.less_disk_gib": ("{disk_gib} GiB of disk would fit", "改为 {disk_gib} GiB 磁盘即可"),
    "change.fewer_gpus": ("{gpus} GPUs would fit", "改为 {gpus} 个 GPU 即可"),
    "change.other_arch": ("architecture {arch} would fit", "改用 {arch} 架构即可"),
    "change.other_zone": ("zone {zone} would fit", "改用可用区 {zone} 即可"),
    "change.other_pool": ("pool {pool} would fit", "改用资源池 {pool} 即可"),
    "change.split_zone": ("{count} as asked and the others in zone {zone} would fit", "{count} 个不变、其余改到可用区 {zone} 即可"),
    "change.split_pool": ("{count} as asked and the others in pool {pool} would fit", "{count} 个不变、其余改到资源池 {pool} 即可"),
    "change.preempt": ("preempting instances of lower classes would make room (preempt)", "抢占较低优先级的实例即可（preempt）"),
    "change.fewer_instances": ("{count} instances would fit", "改为 {count} 个实例即可"),
    "change.other_gpu_model": ("GPUs of model {gpu_model} would fit", "改用 {gpu_model} 型号的 GPU 即可"),
    "change.drop_baseline": ("without the CPU baseline {baseline} it would fit", "不要求 CPU 基线 {baseline} 即可"),
    "change.drop_cells": ("without being in {cells} NUMA nodes it would fit", "不要求分布到 {cells} 个 NUMA 节点即可"),
    "change.drop_trait": ("without the trait {trait} it would fit", "去掉特性 {trait} 即可"),
    "change.later": ("a start at {starts_at} would fit", "推迟到 {starts_at} 开始即可"),
    "change.smaller": (
        "a smaller size would fit: vCPUs {vcpus}, memory {memory_mib} MiB, disk {disk_gib} GiB, GPUs {gpus} (empty: as asked)",
        "缩小规格即可：vCPU {vcpus}、内存 {memory_mib} MiB、磁盘 {disk_gib} GiB、GPU {gpus}（空表示不变）",
    ),
    "change.relax_spread": ("the softer rule '{mode}' over each {domain} would fit", "将分布规则放宽为 {mode}（{domain}）即可"),
}


class _Lenient(dict[str, Any]):
    """A missing parameter must not hide the message."""

    def __missing__(self, key: str) -> str:
        return ""


def render(code: str, params: Mapping[str, Any], lang: str) -> str:
    """The sentence for a code in a language ("en", "zh"); the code itself with its parameters where the table has none."""
    entry = CATALOGUE.get(code)
    if entry is None:
        return f"{code} {dict(params)}" if params else code
    column = LANGUAGES.index(lang) if lang in LANGUAGES else 0
    shown = _Lenient(params)
    if "why" in shown:
        shown["why"] = render(str(shown["why"]), {key: value for key, value in params.items() if key != "why"}, lang)
    if isinstance(shown.get("resource"), str):
        shown["resource"] = _RESOURCES.get(shown["resource"], (shown["resource"],) * 2)[column]
    said = entry[column].format_map(shown).strip()
    return said.rstrip(" :：") + ".。"[column] if said.endswith((":", "：")) else said  # a detail not for this reader leaves no loose end
