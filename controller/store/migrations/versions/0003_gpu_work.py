"""GPU work: what instances asked of GPUs, found without looking at all of them."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make it."""
    op.get_bind().exec_driver_sql("CREATE INDEX instances_gpu_work ON instances (vcpus, gpus) WHERE gpus > 0")
