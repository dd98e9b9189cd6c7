"""Object storage through boto3: bring what lies under an s3:// address to a local folder."""

from ser_ops.storage.address import is_remote
from ser_ops.storage.s3 import bring, brought

__all__ = ["bring", "brought", "is_remote"]
