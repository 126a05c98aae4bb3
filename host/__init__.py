"""What runs on the host: checkpoints, the encoder, the device protocol, reports and the command line."""
