"""Make the buckets that are named, where they are missing: `python -m infra.services.buckets mlflow dvc`.

The store and the credentials come from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import sys
from collections.abc import Sequence


def make(names: Sequence[str]) -> None:
    import boto3
    from botocore.config import Config

    store = boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 8}))
    there = {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}
    for name in names:
        if name not in there:
            store.create_bucket(Bucket=name)


if __name__ == "__main__":
    make(sys.argv[1:])
