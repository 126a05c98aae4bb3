"""The serial link: a host's requests, frame by frame, carried out on registers and memory."""
