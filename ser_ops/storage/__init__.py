"""Object storage through boto3: bring what lies under an s3:// address to a local folder."""
