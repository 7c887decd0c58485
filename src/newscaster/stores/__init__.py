"""Object stores (`s3://`, `gs://`; any file system of fsspec): their objects, and copies of them here."""
