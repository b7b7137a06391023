"""Files and folders, on this machine or on S3: written whole, named, hashed, locked."""
