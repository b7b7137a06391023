"""Reads, writes, names, hashes and locks files and folders, on this machine or on S3."""
