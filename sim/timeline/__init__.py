"""The handshakes of the engine's streams, cycle by cycle, of a run on the native simulator."""
