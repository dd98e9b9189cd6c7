"""Whether a bucket answers."""

from urllib.parse import urlsplit

from ser_ops.errors import UserError


def reach(address: str, limit: float) -> str:
    """List at most one object under an s3:// address; the endpoint that answered, and where the credentials came from.

    `limit`: seconds. Raises UserError when there is no such bucket, no permission, no credentials or no endpoint.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(address)
    session = boto3.Session()
    try:
        client = session.client("s3", config=Config(retries={"max_attempts": 1}, connect_timeout=limit,
                                                    read_timeout=limit))
        client.list_objects_v2(Bucket=parts.netloc, Prefix=parts.path.lstrip("/"), MaxKeys=1)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        mend = ("make the bucket, or mend the address" if code in ("NoSuchBucket", "404") else
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        raise UserError(f"{address} refuses ({code}): {mend}") from error
    except BotoCoreError as error:
        raise UserError(f"{address} does not answer ({str(error).splitlines()[0].rstrip('.')}): set AWS_ENDPOINT_URL, "
                        "AWS_DEFAULT_REGION and credentials, or start the store") from error
    found = session.get_credentials()
    return f"{client.meta.endpoint_url}, credentials from {found.method if found else 'nowhere: the bucket is public'}"
