"""The input of a translation: a file or a folder of files, on this machine or on S3."""
