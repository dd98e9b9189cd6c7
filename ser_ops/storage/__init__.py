"""Object storage through boto3: bring what lies under an s3:// address to a local folder."""

from ser_ops.storage.s3 import bring, is_remote

__all__ = ["bring", "is_remote"]
