"""The compiled kernels for x86 processors with AVX-512, called through ctypes."""
