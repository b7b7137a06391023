"""The compiled kernels, called through ctypes with torch tensors."""
