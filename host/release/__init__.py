"""A release: distributions of the Python packages, bitstreams of boards, IP cores, and the digests of all of them."""
