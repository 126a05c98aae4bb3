"""The host: checkpoints in, compressed streams to the device, results checked and reported."""
