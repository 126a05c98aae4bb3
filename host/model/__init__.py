"""Llama-like models on the host: a forward pass whose linear layers may run anywhere, tokenizers and generation."""
