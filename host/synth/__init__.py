"""Area, place and route, and bitstreams of named configurations."""
