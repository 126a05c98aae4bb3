"""Devices behind one interface, the driver that runs products on them, and their memory's layout."""
