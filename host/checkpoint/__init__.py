"""Checkpoints: safetensors, GGUF and compressed folders, read tensor by tensor."""
